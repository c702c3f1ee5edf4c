import numpy as np
import pytest

from fourier_model.band_occlusion import BandOcclusion
from fourier_model.explanation_figures import evidence_curves, fourier_heat_map, peak_frames
from fourier_model.fourier_heat_map import sampled_frequencies

REMOVED = np.array([-1.0, np.nan, 0.5, 2.0])
SPECTRUM = np.array([-40.0, np.nan, -60.0])


def curves(frames, swapped=None, times=None):
    occlusion = BandOcclusion(1.0, REMOVED, swapped)
    return evidence_curves(np.linspace(0.1, 0.9, frames), times, 0.5, [frames - 1], occlusion, SPECTRUM)


def test_curves_name_their_axes_with_units_and_leave_out_what_is_undefined():
    score, rings, slope = curves(5, times=np.arange(5) / 2).axes
    assert (score.get_xlabel(), score.get_ylabel()) == ("time (s)", "probability of fake")
    assert rings.get_xlabel() == slope.get_xlabel() == "spatial frequency (cycles / pixel)"
    assert slope.get_ylabel() == "dB re (logit / grey level)²"
    removed = rings.get_lines()[-1]
    np.testing.assert_array_equal(removed.get_ydata(), [-1.0, 0.5, 2.0])
    assert [text.get_text() for text in rings.get_legend().get_texts()] == ["ring removed"]


def test_a_single_frame_has_no_curve_over_time_and_frames_without_times_are_counted():
    assert len(curves(1).axes) == 2
    assert curves(5).axes[0].get_xlabel() == "frame"


def test_the_scale_of_a_map_is_the_same_for_all_frames_and_even_on_both_sides():
    images = [np.full((6, 8, 3), 90, np.uint8)] * 2
    figure = peak_frames(images, [np.full((6, 8), -3.0), np.full((6, 8), 1.0)], ["first", "second"])
    overlays = [axes.images[1] for axes in figure.axes if len(axes.images) == 2]
    assert [overlay.get_clim() for overlay in overlays] == [(-3.0, 3.0)] * 2
    assert overlays[0].get_alpha().max() > 2.9 * overlays[1].get_alpha().max()
    assert [axes.get_title() for axes in figure.axes[:4]].count("first") == 1


@pytest.mark.parametrize("size", [0.0, 1.5])
def test_the_heat_map_says_how_many_frames_are_behind_it_and_what_it_shows(size):
    waves = len(sampled_frequencies(4))
    figure = fourier_heat_map(np.full((3, waves), size), np.zeros(waves), 4, 2.0)
    assert "n = 3 frames" in figure.get_suptitle()
    planes = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in planes] == [
        "mean change", "mean size of the change", "verdicts turned",
    ]  # fmt: skip
    shown = planes[1].images[0].get_array()
    assert shown.shape == (5, 5)
    assert np.ma.filled(shown, np.nan)[0, 0] == size
