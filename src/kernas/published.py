"""The known data sets as their publishers give them: files, sizes, sums, and where to get them.

Nothing is imported here, so that the command line's help can list the names at once. How the files
are read is in :mod:`kernas.kernels.data.known`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class PublishedFile:
    """A file that is published with a data set.

    Attributes:
        name: the file's name.
        size: in bytes.
        sha256: of the file, in hexadecimal.
        content_sha256: of what a ``.gz`` holds: it tells which data set a file belongs to, however
            it was compressed.
    """

    name: str
    size: int
    sha256: str
    content_sha256: str | None = None


@dataclass(frozen=True)
class PublishedSet:
    """A data set by name.

    Attributes:
        title: what it is, in a line.
        files: those that are published, as they are downloaded.
        folder: the folder that holds them, inside the one of all data; two data sets may give their
            files equal names.
        mirrors: addresses that the files' names are appended to, in the order in which to try them.
        unpublished: where there is nothing to download, what to do instead.
    """

    title: str
    files: tuple[PublishedFile, ...] = ()
    folder: str = ""
    mirrors: tuple[str, ...] = ()
    unpublished: str = ""


def owner(sha256: str) -> str | None:
    """Which published file, or its content, has this SHA-256, ``None`` if none has."""
    for name, published in PUBLISHED.items():
        for file in published.files:
            if sha256 in (file.sha256, file.content_sha256):
                return f"{file.name} of the data set {name!r}"
    return None


# The names of both sets of idx files.
_TRAIN_IMAGES, _TRAIN_LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
_TEST_IMAGES, _TEST_LABELS = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"

_TORONTO = ("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/")

_CIFAR100 = PublishedSet(
    "CIFAR-100, 32×32 colour images of 100 classes, 50,000 and 10,000 (Krizhevsky 2009)",
    (
        PublishedFile(
            "cifar-100-binary.tar.gz",
            168_513_733,
            "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
        ),
    ),
    mirrors=_TORONTO,
)

PUBLISHED: dict[str, PublishedSet] = {
    "digits": PublishedSet(
        "1,797 handwritten digits of 8×8 grey values",
        unpublished="it comes with scikit-learn, which is installed",
    ),
    "digits_hard": PublishedSet(
        "the same digits moved by up to a pixel and noisy, 5,000 and 1,594",
        unpublished="it is made of digits that come with scikit-learn, which is installed",
    ),
    "cifar10": PublishedSet(
        "CIFAR-10, 32×32 colour images of 10 classes, 50,000 and 10,000 (Krizhevsky 2009)",
        (
            PublishedFile(
                "cifar-10-binary.tar.gz",
                170_052_171,
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            ),
        ),
        mirrors=_TORONTO,
    ),
    "cifar100": _CIFAR100,
    "cifar100_coarse": replace(
        _CIFAR100, title="CIFAR-100 with its 20 superclasses as labels; the files of cifar100"
    ),
    "mnist": PublishedSet(
        "MNIST, handwritten digits of 28×28 grey values, 60,000 and 10,000 (LeCun et al. 1998)",
        (
            PublishedFile(
                _TRAIN_IMAGES,
                9_912_422,
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            ),
            PublishedFile(
                _TRAIN_LABELS,
                28_881,
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            ),
            PublishedFile(
                _TEST_IMAGES,
                1_648_877,
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            ),
            PublishedFile(
                _TEST_LABELS,
                4_542,
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
        ),
        folder="mnist",
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
    ),
    "fashion_mnist": PublishedSet(
        "Fashion-MNIST, clothes of 28×28 grey values, 60,000 and 10,000 (Xiao et al. 2017)",
        (
            PublishedFile(
                _TRAIN_IMAGES,
                26_421_880,
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            ),
            PublishedFile(
                _TRAIN_LABELS,
                29_515,
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            ),
            PublishedFile(
                _TEST_IMAGES,
                4_422_102,
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            ),
            PublishedFile(
                _TEST_LABELS,
                5_148,
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            ),
        ),
        folder="fashion_mnist",
        mirrors=(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ),
    ),
    "imagenet16-120": PublishedSet(
        "ImageNet-16-120, 16×16 colour images of 120 classes (Dong and Yang 2020)",
        unpublished=(
            "it is published as pickles only, which are never read here; write imagenet16-120.npz "
            "yourself, with numpy.savez, of x_train and x_test (n, 16, 16, 3) in uint8 and y_train "
            "and y_test (n,), integers 0 … 119 (the pickles count from 1)"
        ),
    ),
}
"""Every data set that :func:`kernas.kernels.load` knows by name."""
