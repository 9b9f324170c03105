"""The parts of `toolrl launch`: what machines a run wants, where its folders may lie, and the files of launch/ filled in."""
