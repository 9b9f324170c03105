"""The parts of `toolrl distill`: which samples are needed, its folder, its progress, its report and its page."""
