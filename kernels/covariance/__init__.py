"""The formulas: how a second moment between two nodes passes through a layer.

Arrays are laid out ``[h, w, h', w', *pairs]``: entry ``[p, q]`` of an image pair is the covariance
of the channels at pixel ``p = (h, w)`` of the left image with those at ``q = (h', w')`` of the
right one. Pairs come last, so that shifts along pixels move whole rows of contiguous numbers. A
vector is an image of one pixel. ``K`` is the covariance (NNGP), ``T`` the tangent kernel (NTK);
``T`` is ``None`` where it is zero whatever the images, or not asked for.
"""
