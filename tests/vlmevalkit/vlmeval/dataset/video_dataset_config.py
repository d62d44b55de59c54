"""The settings of video datasets by name."""

from functools import partial

from vlmeval.dataset.toys import Pictured, Silent, Toys

supported_video_datasets = {
    "Video-MME_8frame": partial(Toys, dataset="Video-MME", nframe=8),
    "Toy-Films_4frame": partial(Toys, dataset="Toy-Films", nframe=4),
    "Toy-Films_1fps": partial(Toys, dataset="Toy-Films", fps=1.0),
    "Toy-Films_4frame_pack": partial(Toys, dataset="Toy-Films", nframe=4, pack=True),
    "Toy-Silent_4frame": partial(Silent, dataset="Toy-Silent", nframe=4),
    "Toy-Pictures": partial(Pictured, dataset="Toy-Pictures"),
}
