from toolrl.data.split import side

DIALOGUES = [f"d{i}" for i in range(10_000)]


def heldout(share, seed=0):
    return {d for d in DIALOGUES if side(d, heldout_share=share, seed=seed) == "heldout"}


def test_the_share_is_kept_within_three_standard_errors():
    assert abs(len(heldout(0.1)) - 1000) < 3 * (10_000 * 0.1 * 0.9) ** 0.5


def test_the_side_of_a_dialogue_is_known_for_ever():
    sides = [side(f"d{i}", heldout_share=0.5, seed=7) for i in range(6)]
    assert sides == ["heldout", "heldout", "heldout", "heldout", "train", "train"]


def test_a_larger_share_moves_dialogues_one_way_only():
    assert heldout(0.1) < heldout(0.2)


def test_seeds_hold_out_different_dialogues():
    assert len(heldout(0.1, seed=0) & heldout(0.1, seed=1)) < 200  # 100 expected


def test_nothing_is_held_out_at_share_zero():
    assert heldout(0.0) == set()
