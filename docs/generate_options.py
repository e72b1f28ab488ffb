"""Write docs/options.md: every configuration option, from the docstrings under the fields.

    python docs/generate_options.py

A test holds that the page is up to date.
"""

from pathlib import Path

from pydantic import BaseModel

from moalloy_md.analysis.topics.clusters import ClusterSettings
from moalloy_md.analysis.topics.defects import DefectSettings
from moalloy_md.analysis.topics.dislocations import DislocationSettings
from moalloy_md.analysis.topics.grains import GrainSettings
from moalloy_md.analysis.topics.msd import MsdSettings
from moalloy_md.analysis.topics.rdf import RdfSettings
from moalloy_md.analysis.topics.sro import SroSettings
from moalloy_md.analysis.topics.structure import StructureSettings
from moalloy_md.analysis.topics.voronoi import VoronoiSettings
from moalloy_md.datasets.checks.config import CheckConfig
from moalloy_md.datasets.importers.config import ImportConfig
from moalloy_md.datasets.split import Iid, LodoRelaxed, LodoStrict, SplitConfig
from moalloy_md.potentials.evaluate_config import EvaluateConfig
from moalloy_md.potentials.train_config import (
    ExponentialDecay,
    FineTune,
    Frozen,
    MaceArchitecture,
    MultiheadReplay,
    Naive,
    Optimisation,
    ReduceOnPlateau,
    Refine,
    Replay,
    Scratch,
    TrainConfig,
)
from moalloy_md.structures.dilute import DiluteConfig
from moalloy_md.structures.grain_boundaries import GrainBoundaryConfig
from moalloy_md.structures.polycrystal import PolycrystalConfig
from moalloy_md.structures.slabs import SlabConfig
from moalloy_md.structures.solid_solution import RandomConfig
from moalloy_md.structures.variants import Variant
from moalloy_md.structures.vasp import VaspConfig
from moalloy_md.structures.voids import VoidConfig
from moalloy_md.workflows.boundary_search.config import BoundarySearchConfig
from moalloy_md.workflows.export_config import ExportConfig
from moalloy_md.workflows.interaction.config import (
    Convergence,
    InteractionConfig,
    Validation,
    ValidationModel,
)
from moalloy_md.workflows.job_queue import Slurm
from moalloy_md.workflows.label.config import (
    Factory,
    Gpaw,
    LabelConfig,
    MaceTeacher,
    NativeTeacher,
    Vasp,
)
from moalloy_md.workflows.properties.config import PropertiesConfig
from moalloy_md.workflows.quickstart.config import QuickstartConfig
from moalloy_md.workflows.segregation.config import (
    Annealing,
    BoundaryHost,
    FileHost,
    HybridMonteCarlo,
    PolycrystalHost,
    SegregationConfig,
    Sites,
    SlabHost,
    SphereSettings,
    VoidHost,
)
from moalloy_md.workflows.simulate.config import (
    BundlePotential,
    LammpsPotential,
    Watch,
)
from moalloy_md.workflows.sro.config import SroConfig
from moalloy_md.workflows.study.config import (
    IidFolds,
    LodoFolds,
    NewElementFolds,
    Paradigm,
    Size,
    StudyConfig,
)
from moalloy_md.workflows.thermal.config import Ramp, ThermalConfig

PAGE = Path(__file__).with_name("options.md")

SECTIONS: tuple[tuple[str, tuple[type[BaseModel], ...]], ...] = (
    (
        "`moalloy train CONFIG.yaml`",
        (
            TrainConfig,
            Scratch,
            MaceArchitecture,
            FineTune,
            Refine,
            Naive,
            Frozen,
            MultiheadReplay,
            Replay,
            Optimisation,
            ExponentialDecay,
            ReduceOnPlateau,
        ),
    ),
    ("`moalloy evaluate --config`", (EvaluateConfig,)),
    ("`moalloy export --config`", (ExportConfig,)),
    (
        "`moalloy study run STUDY.yaml`",
        (StudyConfig, Paradigm, Size, IidFolds, LodoFolds, NewElementFolds, Slurm),
    ),
    ("`moalloy structures dilute --config`", (DiluteConfig, Variant)),
    ("`moalloy structures random --config`", (RandomConfig,)),
    ("`moalloy structures gb --config`", (GrainBoundaryConfig,)),
    ("`moalloy structures gb-search --config`", (BoundarySearchConfig,)),
    ("`moalloy structures polycrystal --config`", (PolycrystalConfig,)),
    ("`moalloy structures slab --config`", (SlabConfig,)),
    ("`moalloy structures void --config`", (VoidConfig,)),
    ("`moalloy structures vasp --config`", (VaspConfig,)),
    (
        "`moalloy dataset label --config`",
        (LabelConfig, MaceTeacher, NativeTeacher, Gpaw, Vasp, Factory),
    ),
    ("`moalloy dataset import --config`", (ImportConfig,)),
    ("`moalloy dataset check --config`", (CheckConfig,)),
    ("`moalloy dataset split --config`", (SplitConfig, Iid, LodoStrict, LodoRelaxed)),
    ("`moalloy properties --config`", (PropertiesConfig,)),
    (
        "`moalloy analyze TOPIC --config`",
        (
            StructureSettings,
            DefectSettings,
            SroSettings,
            ClusterSettings,
            VoronoiSettings,
            DislocationSettings,
            GrainSettings,
            RdfSettings,
            MsdSettings,
        ),
    ),
    (
        "`moalloy simulate thermal --config`",
        (ThermalConfig, Ramp, BundlePotential, LammpsPotential, Watch),
    ),
    (
        "`moalloy simulate interaction --config`",
        (InteractionConfig, Convergence, Validation, ValidationModel),
    ),
    ("`moalloy simulate sro --config`", (SroConfig,)),
    (
        "`moalloy simulate segregation --config`",
        (
            SegregationConfig,
            BoundaryHost,
            SlabHost,
            VoidHost,
            PolycrystalHost,
            FileHost,
            Sites,
            SphereSettings,
            Annealing,
            HybridMonteCarlo,
        ),
    ),
    ("`moalloy quickstart --config`", (QuickstartConfig,)),
)


def page() -> str:
    """Return the page's text."""
    lines = [
        "# Options",
        "",
        "Made by `docs/generate_options.py` from the code. Unknown keys are refused, and the",
        "nearest known one is named.",
    ]
    for title, models in SECTIONS:
        lines += ["", f"## {title}"]
        for model in models:
            lines += ["", f"### {model.__name__}", "", _summary(model), "", *_table(model)]
    return "\n".join(lines).replace("``", "`") + "\n"


def _summary(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")


def _table(model: type[BaseModel]) -> list[str]:
    rows = ["| key | default | meaning |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        if field.is_required():
            default = "required"
        elif isinstance(field.default, BaseModel):
            default = f"see {type(field.default).__name__}"
        else:
            default = f"`{field.default}`"
        meaning = " ".join((field.description or "").split()).replace("|", "\\|")
        rows.append(f"| `{name}` | {default} | {meaning} |")
    return rows


if __name__ == "__main__":
    PAGE.write_text(page())
