"""The pages, one file each; run by `dashboard.app`, never by themselves."""
