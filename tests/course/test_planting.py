"""Whoever sees whole frames falls for the print around them; the crop takes it away."""

import numpy as np

from thyro_demo.course import planting
from thyro_demo.data import phantom
from thyro_demo.study.questions import shortcuts


def printed(patients, seed, on):
    scanner = phantom.ScannerFrame()
    drawn = phantom.cohort(patients, 1, seed, shape=(160, 200), scanner=scanner, scanner_on=on)
    return list(drawn)


def test_whole_frames_teach_the_print_and_the_crop_removes_it(tiny):
    views = {"whole": shortcuts.whole_frame, "scan": shortcuts.scan_area}
    tests = {
        "as trained": printed(12, 81, {"malignant"}),
        "none": printed(12, 81, ()),
        "turned": printed(12, 81, {"benign"}),
    }
    found = planting.train(tiny, views, printed(24, 80, {"malignant"}), tests, folds=3)
    auroc = found.table.set_index(["view", "marks"])["value"]
    assert auroc["whole", "as trained"] > 0.9
    assert auroc["whole", "turned"] < 0.1
    assert np.ptp(auroc["scan"]) < 0.1

    seen = planting.off_scan(tiny, found.heads["whole"], tests["as trained"])
    assert seen[["share", "area"]].stack().between(0, 1).all()
    square = shortcuts.whole_frame(tests["none"][0].rgb, tiny.input_size)
    drawn = planting.linear_map(tiny, found.heads["whole"], square)
    assert drawn.shape == tiny.forward(square[None]).feature_map.shape[1:3]
    assert 0 <= drawn.min() <= drawn.max() <= 1
