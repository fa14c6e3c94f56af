"""The formulas: how a second moment between two nodes passes through a layer.

Entry ``[p, q]`` of a moment is the covariance of the channels at pixel ``p`` of the left image with
those at ``q`` of the right one. Arrays are laid out by displacement, ``[slots, h, slots', w,
*pairs]``: a slot of the rows and one of the columns of the images, with the left pixel inside each
(``program/axes.py`` says which pair stands where), and the pairs of images last, so that
neighbours in memory are pairs for which the same is done. A vector is an image of one pixel. A
moment is ``K`` (NNGP), or ``K + iΘ`` with the tangent kernel (NTK); see ``moments.py``.
"""
