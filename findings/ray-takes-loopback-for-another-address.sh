#!/bin/sh
# Ray 2.60.0, December 2026.
#
# Guess: ray.init("127.0.0.1:PORT") connects to the head that `ray start --head --node-ip-address=127.0.0.1 --port=PORT`
# has just started on that very address.
# Whoever names 127.0.0.1 or localhost is taken to mean the machine's address in its network, where such a head does
# not listen: it is tried there about twenty times for half a minute each (here once), although a plain socket to the
# named address is answered at once. 127.0.0.2, which is loopback, too, is left as it is and connects.
#
# Seen on a machine with an address in a network:
#   a socket to the named address: answered
#   127.0.0.1: Connecting to existing Ray cluster at address: <another address>... then ConnectionError
#   127.0.0.2: connected
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ray==2.60.0
RAY_USAGE_STATS_ENABLED=0 RAY_gcs_server_port_wait_time_s=1 "$folder/venv/bin/python" - <<'PY'
import socket

import ray
from ray.cluster_utils import Cluster


def started(ip):
    return Cluster(
        initialize_head=True,
        head_node_args={"node_ip_address": ip, "num_cpus": 1, "object_store_memory": 2**27, "include_dashboard": False},
    )


def outcome(ip):
    cluster = started(ip)
    try:
        host, port = cluster.address.split(":")
        assert host == ip
        socket.create_connection((host, int(port)), 5).close()
        print("a socket to the named address: answered")
        try:
            ray.init(cluster.address, log_to_driver=False)
        except ConnectionError:
            return "ConnectionError"
        ray.shutdown()
        return "connected"
    finally:
        cluster.shutdown()


outcomes = {ip: outcome(ip) for ip in ("127.0.0.1", "127.0.0.2")}
print(outcomes)
assert outcomes == {"127.0.0.1": "ConnectionError", "127.0.0.2": "connected"}
PY
