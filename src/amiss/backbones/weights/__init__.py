"""Weight files: where they are published, found on this machine, fetched, read, and how they fill a network."""

from amiss.backbones.weights._caffe2 import is_caffe2, read_caffe2
from amiss.backbones.weights._choice import Unfetched, Weights, choose_weights, random_weights
from amiss.backbones.weights._download import OnBytes, download
from amiss.backbones.weights._fetching import fetch_published, find_published, how_to_replace
from amiss.backbones.weights._filling import fill_network, load_weights
from amiss.backbones.weights._folders import find_weights, hugging_face_cache, locate, weights_folders
from amiss.backbones.weights._published import PublishedWeights
from amiss.backbones.weights._reading import first_line, read_weights, unwrap

__all__ = [
    "OnBytes",
    "PublishedWeights",
    "Unfetched",
    "Weights",
    "choose_weights",
    "download",
    "fetch_published",
    "fill_network",
    "find_published",
    "find_weights",
    "first_line",
    "how_to_replace",
    "hugging_face_cache",
    "is_caffe2",
    "load_weights",
    "locate",
    "random_weights",
    "read_caffe2",
    "read_weights",
    "unwrap",
    "weights_folders",
]
