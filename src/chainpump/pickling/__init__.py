"""How functions and items become bytes, and how large they are.

* `bad_item`: which item of a frame cannot be unpickled
* `copies`: snapshots without pickling
* `functions`: functions to bytes and back, and which part of an object cannot be pickled
* `inherited`: objects that a process can only receive as it starts
* `items`: items to bytes and back
* `large_bytes`: large bytes, which travel beside the pickle
* `library_codecs`: codecs for torch and Pillow
* `limited`: items whose bytes are limited
* `loading`: whether this process is importing modules
* `main_objects`: functions and classes of a main module that workers cannot import
* `registry`: which types have a codec
* `shared_functions`: the functions of a worker, pickled once into shared memory
* `sizes`: how many bytes an item keeps alive
"""
