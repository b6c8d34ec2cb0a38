"""Holds the manifests on stdin against the schemas of Kubernetes, where a field that is not known is a mistake.

Usage: schemas.py OLDEST: against that version (1.27), and against the newest one that the schemas are had for.
"""

import functools
import sys

import kubernetes_validate
import yaml

# A file of several megabytes, read anew for each manifest otherwise.
kubernetes_validate.utils.schema_contents = functools.cache(kubernetes_validate.utils.schema_contents)

# What custom resource definitions bring: nothing is known of their fields here. tests/kube has the definitions,
# but for Cilium's, which the chart's README has an example of.
CUSTOM = {
    ("cilium.io/v2", "CiliumNetworkPolicy"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("monitoring.coreos.com/v1", "PodMonitor"),
    ("monitoring.coreos.com/v1", "PrometheusRule"),
    ("monitoring.coreos.com/v1", "ServiceMonitor"),
}


def mistake(manifest, version):
    """What is wrong with the manifest in this version, or None."""
    try:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        if (manifest["apiVersion"], kind) not in CUSTOM:
            kubernetes_validate.validate(manifest, version, strict=True)
    except (KeyError, TypeError):
        return f"no object: {manifest!r:.100}"
    except kubernetes_validate.ValidationError as error:
        return f"{kind} {name}: {'.'.join(map(str, error.path)) or 'at its top'}: {error.message:.300}"
    except kubernetes_validate.SchemaNotFoundError as error:
        return f"{kind} {name}: {error.message}"
    return None


def main():
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    manifests = [manifest for manifest in yaml.load_all(sys.stdin, loader) if manifest is not None]
    versions = dict.fromkeys([sys.argv[1], kubernetes_validate.latest_version()])
    wrong = 0
    for version in versions:
        for manifest in manifests:
            if found := mistake(manifest, version):
                wrong += 1
                print(f"Kubernetes {version}: {found}")
    if not manifests:
        sys.exit("nothing was rendered")
    sys.exit(wrong > 0)


main()
