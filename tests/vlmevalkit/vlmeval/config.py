"""The models by name, as partials of their classes."""

from functools import partial

from vlmeval.vlm import Chatty, Endpoint, Faulty, Headless, Pictures, Watcher

supported_VLM = {
    "Qwen2.5-VL-7B-Instruct": partial(Watcher, nframe=64),
    "Toy-Watcher-8f": partial(Watcher, nframe=16),
    "Toy-Pictures": partial(Pictures, model_path="toy/pictures"),
    "Toy-Chatty": partial(Chatty, model_path="toy/chatty"),
    "Toy-Endpoint": partial(Endpoint, retry=2),
    "Toy-Faulty": partial(Faulty),
    "Toy-Headless": partial(Headless),
}
