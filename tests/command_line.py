"""The command line as a process, and a small network with data for it."""

import os
import subprocess
import sys

import forks
import nir
import numpy as np
from forks import CHECKOUT

ENVIRONMENT = os.environ | {"PYTHONPATH": str(CHECKOUT), "COLUMNS": "200", "NO_COLOR": "1"}
COMMAND = [sys.executable, "-m", "spikefab.cli"]


def spikefab(*arguments, cwd, anew=False, **how):
    """Run a command, as a fork (`forks`) or ``anew``; ``how`` goes to `subprocess.run`."""
    if not (anew or how):
        return forks.run("spikefab.cli", *arguments, cwd=cwd, env=ENVIRONMENT)
    environment = ENVIRONMENT | how.pop("env", {})
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | how
    arguments = [part if isinstance(part, bytes) else str(part) for part in arguments]
    return subprocess.run([*COMMAND, *arguments], cwd=cwd, env=environment, check=False, **how)


def write_network(path, *, weight, names=("lif",), tau=0.01, metadata=None):
    """Write layers of LIF neurons, one behind the other; ``weight`` leads into each."""
    nodes = {"input": nir.Input({"input": np.array([weight.shape[1]])})}
    edges, before = [], "input"
    for k, name in enumerate(names):
        one = np.ones(weight.shape[0])
        here = weight if k == 0 else np.eye(weight.shape[0]) * 8
        nodes[f"weights{k}"] = nir.Affine(here, 0 * one)
        nodes[name] = nir.LIF(tau=one * tau, r=one, v_leak=0 * one, v_threshold=one)
        edges += [(before, f"weights{k}"), (f"weights{k}", name)]
        before = name
    nodes["output"] = nir.Output({"output": np.array([weight.shape[0]])})
    edges.append((before, "output"))
    said = {"dt": 1e-3, "reset": "zero"} if metadata is None else metadata
    nir.write(path, nir.NIRGraph(nodes=nodes, edges=edges, metadata=said))


RUN = ("run", "net.nir", "--data", "data.npz")
