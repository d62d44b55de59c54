// Tells the page when the browser cannot play the video that stands before this component.
export default function ({ data, setTriggerValue }) {
  const video = document.querySelector("video");
  if (!video || video.watched === data.path) return;
  video.watched = data.path;
  const look = () => {
    const isSilentPicture = video.readyState >= 1 && video.videoWidth === 0; // sound only: it has no decoder for the rest
    if (video.error || isSilentPicture) setTriggerValue("failed", data.path);
  };
  video.addEventListener("error", look);
  video.addEventListener("loadedmetadata", look);
  look();
}
