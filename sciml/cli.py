"""The ``sciml`` command: verbs with argparse, so that help and listings load nothing heavy."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import sciml

__all__ = ["main"]

KINDS = ("models", "datasets", "tasks", "methods", "problems")

EPILOG = """\
examples:
  sciml fit examples/darcy.yaml
  sciml fit --model fno --data darcy-small --model.modes "[8, 8]" --trainer.max_epochs 20
  sciml models fno
  sciml data info my_file.hdf5
  sciml data generate burgers --num 1000 --out burgers.hdf5

sciml fit --help lists the sections of a configuration.
"""


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="sciml",
        description="Scientific machine learning on graphs and operators.",
        epilog=EPILOG,
        formatter_class=raw,
    )
    parser.add_argument("--version", action="version", version=f"sciml {sciml.__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    verbs.add_parser("fit", help="train a model from a configuration", add_help=False)
    test = verbs.add_parser("test", help="evaluate the model of a run folder again")
    test.add_argument("run", metavar="RUN", help="run folder")
    test.add_argument("--allow-class-path", action="store_true", help="accept class_path in its configuration")
    predict = verbs.add_parser("predict", help="apply the model of a run folder to a data file")
    predict.add_argument("run", metavar="RUN", help="run folder")
    predict.add_argument("--data", required=True, metavar="FILE", help="data file, with or without target, or dataset")
    predict.add_argument("--split", metavar="NAME", help="split of a dataset, such as test")
    predict.add_argument("--out", required=True, metavar="FILE.npz", help="where predictions and inputs are written")
    for kind in KINDS:
        listing = verbs.add_parser(kind, help=f"list {kind}, or describe one")
        listing.add_argument("name", nargs="?", metavar="NAME", help="name of one of them")
    data = verbs.add_parser("data", help="look at data files, or generate them").add_subparsers(
        dest="action", metavar="ACTION", required=True
    )
    info = data.add_parser("info", help="layout, arrays, ranges and coordinates of a data file")
    info.add_argument("file", metavar="FILE")
    data.add_parser("generate", help="generate samples of a problem into a file", add_help=False)
    convert = data.add_parser("convert", help="write a data file of any known layout in another one")
    convert.add_argument("file", metavar="FILE")
    convert.add_argument("--out", required=True, metavar="OUT", help="file to write; with --format well a folder")
    convert.add_argument("--format", choices=("pdebench", "well"), default="pdebench", help="layout to write")
    convert.add_argument("--reader", default="auto", metavar="NAME", help="format of FILE; found from its content")
    convert.add_argument(
        "--role",
        action="append",
        default=[],
        dest="roles",
        metavar="NAME=ROLE",
        help="what an array is: input, target, coords or params; may be given several times",
    )
    convert.add_argument("--overwrite", action="store_true", help="replace an existing file")
    bench = verbs.add_parser("bench", help="compare models on the same data, epochs and seeds; without a name: list")
    bench.add_argument("suite", nargs="?", metavar="SUITE", help="name of a suite")
    bench.add_argument("--models", metavar="A,B", help="models of the suite or of the registry; default: the suite's")
    bench.add_argument("--seeds", default="0,1,2", metavar="0,1,2", help="one run each")
    bench.add_argument("--threads", type=int, default=1, metavar="N", help="threads of each run")
    bench.add_argument("--budget", type=float, metavar="SECONDS", help="a run that takes longer counts as timed out")
    bench.add_argument("--epochs", type=int, metavar="N", help="instead of the suite's")
    bench.add_argument("--out", metavar="FILE.json", help="keep results after every run; go on where a run stopped")
    plugins = verbs.add_parser("plugins", help="list, create or check plugins")
    actions = plugins.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="every component of every distribution, tried in a process of its own")
    new_help = "write a new plugin: a package with a model, its tests, an example and a README"
    new = actions.add_parser("new", help=new_help, description=new_help)
    new.add_argument("name", metavar="NAME")
    new.add_argument("--directory", metavar="DIR", help="where; sciml-NAME in the current folder by default")
    check = actions.add_parser("check", help="check an installed plugin")
    check.add_argument("dist", metavar="DIST", help="name of the distribution")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb.

    Returns:
        0 when it worked, 1 when a check failed, 2 for a mistake of the user, 128 + n when signal n stopped it.
    """
    tokens = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        # A terminal that knows ASCII only shows a question mark instead of ending the run.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        return _run(tokens)
    except BrokenPipeError:
        # The reader of a pipe, such as head, has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        # Ctrl-C reaches all processes of a run; launchers number them.
        if os.environ.get("LOCAL_RANK", "0") == "0":
            print("sciml: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        code = _user_error(error)
        if code is None or os.environ.get("SCIML_TRACEBACK"):
            raise
        # Every process of a distributed run is stopped, with the same words.
        if getattr(error, "is_main", True):
            print(f"sciml: error: {_one_line(error)}", file=sys.stderr)
        return code


def _run(tokens: list[str]) -> int:
    if tokens and tokens[0] == "fit":
        from sciml.commands.fit import fit

        return fit(tokens[1:])
    if tokens[:2] == ["data", "generate"]:
        from sciml.commands.generate import generate

        return generate(tokens[2:])
    arguments = _parser().parse_args(tokens)
    if arguments.verb in KINDS:
        return _components(arguments.verb, arguments.name)
    if arguments.verb == "data" and arguments.action == "convert":
        from sciml.commands.convert import convert

        return convert(arguments)
    if arguments.verb == "data":
        from sciml.data import describe_file

        print(describe_file(arguments.file))
        return 0
    if arguments.verb == "bench":
        from sciml.commands.bench import bench

        return bench(arguments)
    if arguments.verb == "plugins":
        return _plugins(arguments)
    from sciml.commands import fit as commands

    return commands.test(arguments) if arguments.verb == "test" else commands.predict(arguments)


def _components(kind: str, name: str | None) -> int:
    if kind == "datasets":
        from sciml.commands.describe import dataset_listing
        from sciml.data import describe_dataset, list_datasets

        if name is not None:
            print(describe_dataset(name))
            return 0
        print(dataset_listing(list_datasets()))
        return 0
    from sciml.commands.describe import describe, listing

    print(listing(kind) if name is None else describe(kind, name))
    return 0


def _plugins(arguments: argparse.Namespace) -> int:
    from sciml import plugins

    if arguments.action == "list":
        return plugins.main_list()
    if arguments.action == "new":
        return plugins.main_new(arguments.name, arguments.directory)
    return plugins.main_check(arguments.dist)


def _user_error(error: Exception) -> int | None:
    """Exit code for a mistake of the user; None for a defect, whose traceback must be seen."""
    from sciml.errors import SciMLError

    number = getattr(error, "signal", None)
    if isinstance(error, SciMLError) and isinstance(number, int):
        return 128 + number
    if isinstance(error, SciMLError | FileNotFoundError | PermissionError | IsADirectoryError | NotADirectoryError):
        return 2
    # An ImportError written for the user names the extra to install.
    return 2 if isinstance(error, ImportError) and "pip install" in str(error) else None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
