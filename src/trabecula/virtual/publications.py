"""Whom five published studies scanned, where, on what and how much of them: data that virtual cohorts are drawn by.

Sizes, splits, vertebrae and kinds of scans are the publications'. What they leave open is ours: scanners' slopes,
kernels and noise, ages and sexes where none are given. Each part has seeds of its own, which nothing else uses:
training on virtual patients begins at 100,000, tests lie in 900,000 to 999,999.
"""

from dataclasses import dataclass, replace

from trabecula.anatomy import Level
from trabecula.errors import wrong_usage
from trabecula.virtual.machines import MACHINES, Machine
from trabecula.virtual.scanner import Protocol
from trabecula.virtual.subject import BMD_SD_MG_CM3

Range = tuple[float, float]

MATRIX = 512
"""Pixels along a side of a field of view that is as wide as the body."""


@dataclass(frozen=True)
class Scanner:
    """One machine at one site, as it was set up for the study: its physics are fixed, not drawn for each scan.

    ``noise_hu`` and the place on the table are those of a middling patient; each scan scatters round them.
    """

    site: str
    machine: Machine
    protocol: Protocol

    @property
    def name(self) -> str:
        return self.machine.station

    @property
    def vendor(self) -> str:
        return self.machine.manufacturer


@dataclass(frozen=True)
class View:
    """A field of view: it begins ``above_mm`` over the upper end of ``top`` and ends ``below_mm`` under ``bottom``.

    ``share`` of the people are scanned so. ``width_mm`` and ``pixel_mm`` of one that was reconstructed round the spine;
    None: as wide as the body, 512 pixels of the scanner's size.
    """

    kind: str
    share: float
    top: Level
    above_mm: Range
    bottom: Level
    below_mm: Range
    width_mm: float | None = None
    pixel_mm: float | None = None


@dataclass(frozen=True)
class People:
    """Ages (normal, cut off at ``ages``), the share of women, and how far densities lie from the population's."""

    age_mean: float
    age_sd: float
    ages: Range
    women: float
    bmd_shift_mg_cm3: float = 0.0  # of the mean at an age
    bmd_sd_mg_cm3: float = BMD_SD_MG_CM3


@dataclass(frozen=True)
class Part:
    """A training, validation or test set: ``people`` of the seeds from ``first_seed`` on, shared out to its scanners.

    The density of ``even_share`` of them is drawn evenly over ``EVEN_MG_CM3``: a network that learns from the
    population alone learns age.
    """

    name: str
    split: str  # train, validation or test
    people: int
    first_seed: int
    scanners: tuple[tuple[Scanner, float], ...]  # and each one's share of the people
    even_share: float = 0.0


EVEN_MG_CM3 = (30.0, 230.0)

TRAINED_EVENLY = 0.5


@dataclass(frozen=True)
class Publication:
    """A study: ``levels`` are the vertebrae it measures, ``source`` who wrote of it."""

    name: str
    source: str
    levels: tuple[Level, ...]
    people: People
    views: tuple[View, ...]
    parts: tuple[Part, ...]
    by_dxa: bool = False  # its reference is areal BMD


def _scanner(site: str, vendor: str, model: str, station: str, protocol: Protocol) -> Scanner:
    return Scanner(site, replace(MACHINES[vendor], model=model, station=station), protocol)


def _evenly(*scanners: Scanner) -> tuple[tuple[Scanner, float], ...]:
    return tuple((scanner, 1 / len(scanners)) for scanner in scanners)


# Niu 2023: one 256-row GE Revolution CT, 120 kVp, noise index 16, 1.25 mm slices and interval, 512 x 512, standard
# kernel. Field of view, slope and offset are ours; iterative reconstruction is what this model does by default.
_NIU_SCANNER = _scanner(
    "Xi'an",
    "ge",
    "Revolution CT",
    "XA-REV1",
    Protocol(
        pixel_mm=0.74,
        thickness_mm=1.25,
        increment_mm=1.25,
        kvp=120,
        psf_fwhm_mm=0.98,
        noise_hu=19.0,
        noise_peak_per_mm=0.34,
        iterative=True,
        noise_centre_to_edge=1.7,
        slope=1.02,
        offset_hu=-1.0,
    ),
)

# From the apex of the lung to the lower edge of the liver, which reaches L2 to L3; whoever's target vertebrae were not
# wholly in view was left out. 66.03 (SD 9.71) years, 39 to 90: so a normal distribution of 66.3 (10.1) has them once it
# is cut off there. 121 with osteoporosis and 186 with osteopenia of 500: a distribution of mean 108 and SD 40 mg/cm3.
# A mean height of 170.8 cm (SD 6.4) is that of men mostly; the share of women is not told.
NIU2023 = Publication(
    "niu2023",
    "Niu X et al. Quant Imaging Med Surg 2023",
    (Level.T12, Level.L1, Level.L2),
    People(66.3, 10.1, (39.0, 90.0), 0.2, bmd_shift_mg_cm3=-5.0, bmd_sd_mg_cm3=38.5),
    (View("chest and upper abdomen", 1.0, Level.T1, (8.0, 35.0), Level.L2, (25.0, 65.0)),),
    (
        Part("training", "train", 300, 2_000_000, _evenly(_NIU_SCANNER), TRAINED_EVENLY),
        Part("validation", "validation", 100, 2_010_000, _evenly(_NIU_SCANNER), TRAINED_EVENLY),
        Part("test", "test", 100, 2_020_000, _evenly(_NIU_SCANNER)),
    ),
)

# Fang 2021: three vendors, not named in the abstract. Their physics are ours: apart in slope, kernel, noise,
# reconstruction and slices, as three makers' machines of one city are.
_FANG_1 = _scanner(
    "Nantong",
    "siemens",
    "SOMATOM Definition AS",
    "NT-SOM1",
    Protocol(
        pixel_mm=0.76,
        thickness_mm=1.5,
        increment_mm=1.5,
        psf_fwhm_mm=1.15,
        noise_hu=15.0,
        noise_peak_per_mm=0.28,
        noise_centre_to_edge=1.7,
        slope=0.97,
        offset_hu=2.0,
    ),
)
_FANG_2 = _scanner(
    "Nantong",
    "ge",
    "Discovery CT750 HD",
    "NT-DIS2",
    Protocol(
        pixel_mm=0.72,
        thickness_mm=1.25,
        increment_mm=1.25,
        psf_fwhm_mm=0.9,
        noise_hu=20.0,
        noise_peak_per_mm=0.38,
        iterative=True,
        noise_centre_to_edge=1.6,
        slope=1.035,
        offset_hu=-3.0,
    ),
)
_FANG_3 = _scanner(
    "Nantong",
    "canon",
    "Aquilion ONE",
    "NT-AQU3",
    Protocol(
        pixel_mm=0.78,
        thickness_mm=2.0,
        increment_mm=2.0,
        psf_fwhm_mm=1.35,
        noise_hu=10.0,
        noise_peak_per_mm=0.22,
        iterative=True,
        noise_centre_to_edge=1.8,
        slope=1.0,
        offset_hu=4.0,
    ),
)
# "All data was gathered from three different CT vendors ... all testing cases were split": training is of all three,
# in the proportion of the test sets.
_FANG_TRAINED = ((_FANG_1, 463 / 863), (_FANG_2, 200 / 863), (_FANG_3, 200 / 863))
FANG2021 = Publication(
    "fang2021",
    "Fang Y et al. Eur Radiol 2021",
    (Level.L1, Level.L2, Level.L3, Level.L4),
    People(58.0, 13.0, (25.0, 88.0), 0.55),  # ours: none are given in the abstract
    (
        View("abdomen", 0.6, Level.T10, (0.0, 30.0), Level.L4, (25.0, 70.0)),
        View("spine", 0.4, Level.T11, (0.0, 25.0), Level.L4, (25.0, 60.0), width_mm=200.0, pixel_mm=0.5),
    ),
    (
        # 586 in all; the abstract tells of no set to choose weights by, so that a tenth of them is set apart.
        Part("training", "train", 527, 3_000_000, _FANG_TRAINED, TRAINED_EVENLY),
        Part("validation", "validation", 59, 3_010_000, _FANG_TRAINED, TRAINED_EVENLY),
        Part("test, vendor 1", "test", 463, 3_020_000, _evenly(_FANG_1)),
        Part("test, vendor 2", "test", 200, 3_030_000, _evenly(_FANG_2)),
        Part("test, vendor 3", "test", 200, 3_040_000, _evenly(_FANG_3)),
    ),
)

# Peng 2023: the scanners are ours; four at three other hospitals, as the independent set has them.
_PENG_OWN = _scanner(
    "hospital 1",
    "siemens",
    "SOMATOM Force",
    "H1-FOR1",
    Protocol(
        pixel_mm=0.74,
        thickness_mm=1.5,
        increment_mm=1.5,
        psf_fwhm_mm=1.1,
        noise_hu=15.0,
        noise_peak_per_mm=0.3,
        iterative=True,
        noise_centre_to_edge=1.7,
        slope=1.0,
        offset_hu=0.0,
    ),
)
_PENG_OTHERS = (
    _scanner(
        "hospital 2",
        "ge",
        "LightSpeed VCT",
        "H2-VCT1",
        Protocol(
            pixel_mm=0.78,
            thickness_mm=2.5,
            increment_mm=2.5,
            psf_fwhm_mm=0.92,
            noise_hu=19.0,
            noise_peak_per_mm=0.38,
            noise_centre_to_edge=1.6,
            slope=1.045,
            offset_hu=-3.0,
        ),
    ),
    _scanner(
        "hospital 2",
        "ge",
        "Optima CT660",
        "H2-OPT2",
        Protocol(
            pixel_mm=0.7,
            thickness_mm=1.25,
            increment_mm=1.25,
            psf_fwhm_mm=1.0,
            noise_hu=17.0,
            noise_peak_per_mm=0.33,
            iterative=True,
            noise_centre_to_edge=1.6,
            slope=1.02,
            offset_hu=-2.0,
        ),
    ),
    _scanner(
        "hospital 3",
        "canon",
        "Aquilion PRIME",
        "H3-PRI1",
        Protocol(
            pixel_mm=0.78,
            thickness_mm=3.0,
            increment_mm=3.0,
            psf_fwhm_mm=1.4,
            noise_hu=9.0,
            noise_peak_per_mm=0.22,
            iterative=True,
            noise_centre_to_edge=1.8,
            slope=0.955,
            offset_hu=4.0,
        ),
    ),
    _scanner(
        "hospital 4",
        "siemens",
        "SOMATOM Emotion 16",
        "H4-EMO1",
        Protocol(
            pixel_mm=0.74,
            thickness_mm=2.0,
            increment_mm=2.0,
            psf_fwhm_mm=1.25,
            noise_hu=22.0,
            noise_peak_per_mm=0.26,
            noise_centre_to_edge=1.9,
            slope=0.97,
            offset_hu=3.0,
        ),
    ),
)
PENG2023 = Publication(
    "peng2023",
    "Peng T et al. 2023",
    (Level.L1, Level.L2),  # ours: the abstract does not say which
    People(58.0, 13.0, (22.0, 90.0), 0.5),  # ours
    (
        View("abdomen", 0.5, Level.T10, (0.0, 30.0), Level.L4, (25.0, 80.0)),
        View("chest", 0.5, Level.T1, (5.0, 35.0), Level.L2, (25.0, 50.0)),
    ),
    (
        # 703 in all, a tenth of them to choose weights by: the abstract's 176 are a test set.
        Part("training", "train", 633, 4_000_000, _evenly(_PENG_OWN), TRAINED_EVENLY),
        Part("validation", "validation", 70, 4_010_000, _evenly(_PENG_OWN), TRAINED_EVENLY),
        Part("test", "test", 176, 4_020_000, _evenly(_PENG_OWN)),
        Part("independent test", "test", 340, 4_030_000, _evenly(*_PENG_OTHERS)),
    ),
)

# Pan 2024: chest CT of health checks at one hospital; the scanner is ours. Segmentation had another division of the
# same 1,048 people (548 / 100 / 400); the classification's is taken for both.
_PAN_SCANNER = _scanner(
    "Nanjing",
    "siemens",
    "SOMATOM go.Top",
    "NJ-GOT1",
    Protocol(
        pixel_mm=0.72,
        thickness_mm=1.5,
        increment_mm=1.5,
        psf_fwhm_mm=1.05,
        noise_hu=20.0,
        noise_peak_per_mm=0.3,
        iterative=True,
        noise_centre_to_edge=1.7,
        slope=0.985,
        offset_hu=1.0,
    ),
)
PAN2024 = Publication(
    "pan2024",
    "Pan J et al. BMC Musculoskelet Disord 2024",
    (Level.L1, Level.L2),
    People(53.0, 11.0, (30.0, 75.0), 0.45),  # ours: those who come to health checks
    (
        # Why model 2 reads L1 alone: many a chest scan ends there.
        View("chest to L1", 0.35, Level.T1, (5.0, 35.0), Level.L1, (4.0, 14.0)),
        View("chest to L2", 0.65, Level.T1, (5.0, 35.0), Level.L2, (5.0, 45.0)),
    ),
    (
        Part("training", "train", 530, 5_000_000, _evenly(_PAN_SCANNER), TRAINED_EVENLY),
        Part("validation", "validation", 100, 5_010_000, _evenly(_PAN_SCANNER), TRAINED_EVENLY),
        Part("test", "test", 418, 5_020_000, _evenly(_PAN_SCANNER)),
    ),
)

# Yasaka 2020: two institutions; the scanners, ages and sexes are ours: who is sent to DXA is old and mostly a woman.
# 1,665 images of 183 people are nine each: thick slices.
_YASAKA_1 = _scanner(
    "institution 1",
    "canon",
    "Aquilion PRIME",
    "I1-PRI1",
    Protocol(
        pixel_mm=0.76,
        thickness_mm=5.0,
        increment_mm=5.0,
        psf_fwhm_mm=1.3,
        noise_hu=10.0,
        noise_peak_per_mm=0.24,
        iterative=True,
        noise_centre_to_edge=1.8,
        slope=0.985,
        offset_hu=2.0,
    ),
)
_YASAKA_2 = _scanner(
    "institution 2",
    "ge",
    "Discovery CT750 HD",
    "I2-DIS1",
    Protocol(
        pixel_mm=0.74,
        thickness_mm=5.0,
        increment_mm=5.0,
        psf_fwhm_mm=1.0,
        noise_hu=13.0,
        noise_peak_per_mm=0.34,
        noise_centre_to_edge=1.6,
        slope=1.025,
        offset_hu=-2.0,
    ),
)
YASAKA2020 = Publication(
    "yasaka2020",
    "Yasaka K et al. Eur Radiol 2020",
    (Level.L1, Level.L2, Level.L3, Level.L4),
    People(67.0, 12.0, (30.0, 90.0), 0.75),
    (View("abdomen", 1.0, Level.T10, (5.0, 35.0), Level.L4, (30.0, 90.0)),),
    (
        # 183 in all, a tenth of them to choose weights by: the 45 of the internal validation test the network.
        Part("training", "train", 165, 6_000_000, _evenly(_YASAKA_1), TRAINED_EVENLY),
        Part("validation", "validation", 18, 6_010_000, _evenly(_YASAKA_1), TRAINED_EVENLY),
        Part("internal test", "test", 45, 6_020_000, _evenly(_YASAKA_1)),
        Part("external test", "test", 50, 6_030_000, _evenly(_YASAKA_2)),
    ),
    by_dxa=True,
)

PUBLICATIONS: dict[str, Publication] = {one.name: one for one in (NIU2023, FANG2021, PENG2023, PAN2024, YASAKA2020)}


def publication_named(name: str) -> Publication:
    """The publication of this name.

    Raises:
        WrongUsage: ``unknown-publication``: there is none.
    """
    if name not in PUBLICATIONS:
        raise wrong_usage("unknown-publication", name=name, choices=tuple(PUBLICATIONS))
    return PUBLICATIONS[name]
