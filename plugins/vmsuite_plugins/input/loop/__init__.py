"""The closed loop: input goes out only as fast as the guest confirms it, and is judged.

``keyboard`` and ``pointer`` run it, ``neutral`` prepares the guest's keyboard for it,
``track`` compares what each layer saw with what was sent, ``verdict`` puts it in words.
"""
