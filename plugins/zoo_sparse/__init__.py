"""Attention to a few of the keys."""

import zoo


@zoo.hookimpl
def zoo_mixers() -> dict[str, str]:
    """Offer patterns that are fixed, and those that the input chooses."""
    return {
        "bigbird": "zoo_sparse.bigbird:BigBird",
        "block_sparse": "zoo_sparse.block_sparse:BlockSparse",
        "longformer": "zoo_sparse.longformer:Longformer",
        "moba": "zoo_sparse.moba:Moba",
        "nsa": "zoo_sparse.nsa:Nsa",
        "reformer": "zoo_sparse.reformer:Reformer",
        "sliding": "zoo_sparse.sliding:Sliding",
        "sparse_fixed": "zoo_sparse.sparse_fixed:SparseFixed",
        "sparse_strided": "zoo_sparse.sparse_strided:SparseStrided",
    }
