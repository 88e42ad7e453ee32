"""The items of TRIPOD+AI and CLAIM, by their own numbers, and which topic of an evaluation answers each.

TRIPOD+AI: Collins et al., BMJ 2024;385:e078378, table 2. CLAIM, 2024 update: Tejani et al., Radiology: Artificial
Intelligence 2024;6(4):e240300. Item names are shortened.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Item:
    """One item. ``topics`` are the keys of ``reporting.topics`` that answer it; ``yours`` is what only authors know."""

    number: str
    name: str
    topics: tuple[str, ...] = ()
    yours: str = ""


TRIPOD_AI = (
    Item("1", "Title"),
    Item("2", "Abstract"),
    Item("3a", "Background: healthcare context"),
    Item("3b", "Background: target population, purpose, users"),
    Item("3c", "Background: known health inequalities"),
    Item("4", "Objectives"),
    Item("5a", "Data: sources", ("source", "training"), "why these data, and whom they stand for"),
    Item("5b", "Data: dates"),
    Item("6a", "Participants: setting", ("places",), "the kind of care, where the centres are"),
    Item("6b", "Participants: eligibility", ("left_out",), "who was asked for before the table was written"),
    Item("6c", "Participants: treatments"),
    Item("7", "Data preparation", ("preparation",), "what was done to the scans before"),
    Item("8a", "Outcome: definition", ("outcome", "reference"), "when the reference was taken, and why it was chosen"),
    Item("8b", "Outcome: assessors"),
    Item("8c", "Outcome: blinding", ("blinding",), "whether those who measured the reference saw any result"),
    Item("9a", "Predictors: choice", ("input",)),
    Item("9b", "Predictors: definition", ("input",)),
    Item("9c", "Predictors: assessors", ("automatic",)),
    Item("10", "Sample size", ("sample",), "how the number was arrived at, and why it is enough"),
    Item("11", "Missing data", ("missing",)),
    Item("12a", "Analytical methods: use and partition of data", ("split",)),
    Item("12b", "Analytical methods: handling of predictors", ("input",)),
    Item("12c", "Analytical methods: model, building, internal validation", ("model", "training"), "why this model"),
    Item("12d", "Analytical methods: heterogeneity across clusters", ("clusters",)),
    Item("12e", "Analytical methods: measures of performance", ("measures",), "why these"),
    Item("12f", "Analytical methods: model updating", ("updating",)),
    Item("12g", "Analytical methods: how predictions were calculated", ("calculated",)),
    Item("13", "Class imbalance"),
    Item("14", "Fairness"),
    Item("15", "Model output", ("outcome",)),
    Item("16", "Training versus evaluation", ("apart",), "differences of setting, eligibility and outcome"),
    Item("17", "Ethical approval"),
    Item("18a", "Funding"),
    Item("18b", "Conflicts of interest"),
    Item("18c", "Protocol"),
    Item("18d", "Registration"),
    Item("18e", "Data sharing"),
    Item("18f", "Code sharing", ("software",), "where the analysis can be had"),
    Item("19", "Patient and public involvement"),
    Item("20a", "Results: flow of participants", ("flow",)),
    Item("20b", "Results: characteristics", ("people",), "dates, treatments, what else the table does not hold"),
    Item("20c", "Results: comparison with development data"),
    Item("21", "Model development: participants and events in each analysis", ("sample", "training")),
    Item("22", "Model specification", ("model", "software"), "where the weights can be had"),
    Item("23a", "Model performance, subgroups", ("performance", "subgroups")),
    Item("23b", "Model performance: heterogeneity across clusters", ("clusters",)),
    Item("24", "Model updating: results", ("updating",)),
    Item("25", "Interpretation"),
    Item("26", "Limitations", ("limits",), "the rest"),
    Item("27a", "Usability: poor or missing input", ("refusals",)),
    Item("27b", "Usability: users' part and expertise", ("automatic",), "who used it"),
    Item("27c", "Usability: next steps"),
)

CLAIM = (
    Item("1", "Title: identification as a study of AI"),
    Item("2", "Abstract"),
    Item("3", "Background, intended use"),
    Item("4", "Aims, objectives, hypotheses"),
    Item("5", "Prospective or retrospective"),
    Item("6", "Study goal"),
    Item("7", "Data sources", ("source", "places")),
    Item("8", "Inclusion and exclusion criteria", ("left_out",), "who was asked for before the table was written"),
    Item("9", "Data preprocessing", ("preparation", "input")),
    Item("10", "Selection of data subsets", ("split",)),
    Item("11", "De-identification", ("pseudonyms",), "how the scans were de-identified"),
    Item("12", "Missing data", ("missing",)),
    Item("13", "Image acquisition protocol", ("places",), "tube current, kernel, slice thickness, contrast medium"),
    Item("14", "Reference standard: method", ("reference",), "device, software, phantom"),
    Item("15", "Reference standard: rationale"),
    Item("16", "Reference standard: source of annotations"),
    Item("17", "Annotation of test set"),
    Item("18", "Inter- and intrarater variability"),
    Item("19", "How data were assigned to partitions", ("split",), "how the column split was filled"),
    Item("20", "Level at which partitions are disjoint", ("disjoint",)),
    Item("21", "Intended sample size", ("sample",), "what was intended, and why"),
    Item("22", "Description of model", ("model", "input")),
    Item("23", "Software libraries", ("software",)),
    Item("24", "Initialisation of parameters", ("initial",)),
    Item("25", "Training approach", ("training",)),
    Item("26", "Selection of the final model", ("kept",)),
    Item("27", "Ensembling"),
    Item("28", "Metrics of performance", ("measures",)),
    Item("29", "Significance and uncertainty", ("intervals",)),
    Item("30", "Robustness or sensitivity", ("subgroups",)),
    Item("31", "Explainability"),
    Item("32", "Evaluation on internal data", ("apart",)),
    Item("33", "Testing on external data", ("apart",), "whether another cohort is another site's"),
    Item("34", "Clinical trial registration"),
    Item("35", "Patients or examinations included and excluded", ("flow", "left_out")),
    Item("36", "Characteristics of cases in each partition", ("people",), "those of the partitions trained on"),
    Item("37", "Performance and its uncertainty", ("performance",)),
    Item("38", "Diagnostic performance and its precision", ("diagnostic",)),
    Item("39", "Failure analysis", ("failures",), "why"),
    Item("40", "Limitations", ("limits",), "the rest"),
    Item("41", "Implications for practice"),
    Item("42", "Reference to the protocol"),
    Item("43", "Availability of software, model, data", ("software",), "where they can be had"),
    Item("44", "Funding"),
)
