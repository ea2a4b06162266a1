"""Run this compiled network on Lava: needs lava-nc 0.10.0 and NumPy, nothing else."""

import argparse
import os
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

sys.dont_write_bytecode = True  # this folder stays as it was compiled
HERE = Path(__file__).resolve().parent


def main() -> int:
    """Read the arguments, run, write, and say what came out."""
    options = parse()
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")  # every Process is an operating-system process of its own
    import numpy as np

    if str(HERE) not in sys.path:
        sys.path.insert(0, str(HERE))
    from snncc_lava.plan import check_data, load_plan
    from snncc_lava.shim import prepare_lava

    plan = load_plan(HERE)
    try:
        data = np.load(options.input, allow_pickle=False)
    except (OSError, ValueError) as error:
        print(f"error: {options.input}: {error}", file=sys.stderr)
        return 2
    samples_axis = 0 if plan.static else 1
    if options.limit is not None and data.ndim > samples_axis:
        data = data[: options.limit] if plan.static else data[:, : options.limit]
    problem = check_data(plan, data)
    if problem:
        print(f"error: {options.input}: {problem}", file=sys.stderr)
        return 2
    prepare_lava()
    start = time.perf_counter()
    result = run(plan, data, options)
    seconds = time.perf_counter() - start
    if options.output is not None:
        write(options.output, result)
    samples = data.shape[samples_axis]
    how = "Lava's ProcessModels called directly" if options.direct else f"{plan.steps_for(samples)} Lava steps"
    print(f"{plan.name}: {samples} samples, {plan.time_steps} time steps each, {how}, {seconds:.1f} s")
    predictions = result.predictions.reshape(-1)
    print("predictions " + " ".join(map(str, predictions[:20])) + (" …" if len(predictions) > 20 else ""))
    for name, spikes in result.spikes.items():
        print(f"{name:20s} {np.abs(spikes).sum() / samples:12.1f} spikes a sample")
    return 0


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--input", type=Path, required=True, help=".npy, whole numbers: (N, *shape) if static, else (T, N, *shape)"
    )
    parser.add_argument("--output", type=Path, help=".npz: scores, predictions, with --record spikes/… and membranes/…")
    parser.add_argument("--limit", type=int, help="first samples only")
    parser.add_argument(
        "--record", action="store_true", help="keep every population's spikes and membranes, (T, N, *shape)"
    )
    parser.add_argument(
        "--direct", action="store_true", help="call Lava's ProcessModels directly, in batches, without its runtime"
    )
    return parser.parse_args()


def run(plan, data, options):  # type: ignore[no-untyped-def]
    """The result, on the runtime or by direct calls."""
    if options.direct:
        from snncc_lava.direct import run_direct

        return run_direct(plan, data, options.record)
    from snncc_lava.network import Network
    from snncc_lava.watch import end_processes

    scratch = tempfile.mkdtemp(prefix="snncc-lava-")
    try:
        return Network(plan, data, Path(scratch), options.record).run()
    except BaseException:
        traceback.print_exc()
        shutil.rmtree(scratch, ignore_errors=True)
        end_processes()
        sys.stderr.flush()
        os._exit(1)  # Lava's own clean-up would wait for ever for Processes that are no more
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write(path: Path, result) -> None:  # type: ignore[no-untyped-def]
    """One .npz, written beside and renamed."""
    import numpy as np

    arrays = {"scores": result.scores, "predictions": result.predictions}
    arrays.update({f"spikes/{name}": x for name, x in result.spikes.items()})
    arrays.update({f"membranes/{name}": x for name, x in result.membranes.items()})
    beside = path.with_name(f".{path.name}.{os.getpid()}.part.npz")
    np.savez_compressed(beside, **arrays)
    beside.replace(path)


if __name__ == "__main__":
    sys.exit(main())
