#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Checks manifests against the API of Kubernetes, as Debian's python3-kubernetes has it.

usage: manifests.py FILE…

No field that the API does not know, none of another type, none missing that it asks for.
"""
import copy
import json
import os
import re
import sys

try:
    import yaml
    from kubernetes import client
except ImportError as error:
    print(f"{error}: tests/packages.sh has python3-kubernetes")
    sys.exit(1 if os.environ.get("ISOMER_TESTS_MUST_RUN") else 77)

MODELS = {("v1", "Namespace"): "V1Namespace", ("v1", "ConfigMap"): "V1ConfigMap",
          ("apps/v1", "DaemonSet"): "V1DaemonSet"}
PRIMITIVES = {"str": str, "int": int, "bool": bool, "float": (int, float)}


class Wrong(Exception):
    """What the API would say."""


def check_model(value, name, place):
    model = getattr(client, name)
    fields = {wire: field for field, wire in model.attribute_map.items()}
    if not isinstance(value, dict):
        raise Wrong(f"{place} should be an object of fields")
    for wire, item in value.items():
        if wire not in fields:
            raise Wrong(f"{place}.{wire} is no field of {name}")
        check(item, model.openapi_types[fields[wire]], f"{place}.{wire}")
    try:
        model(**{fields[wire]: item for wire, item in value.items()})
    except ValueError as error:  # a field that has to be there
        raise Wrong(f"{place}: {error}") from error


def check(value, kind, place):
    """@kind is as the models have it: list[V1Volume], dict(str, str), V1Volume, str, object."""
    listed = re.fullmatch(r"list\[(.*)\]", kind)
    mapped = re.fullmatch(r"dict\(str, (.*)\)", kind)
    if listed:
        if not isinstance(value, list):
            raise Wrong(f"{place} should be a list")
        for i, item in enumerate(value):
            check(item, listed[1], f"{place}[{i}]")
    elif mapped:
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise Wrong(f"{place} should be a map of strings")
        for key, item in value.items():
            check(item, mapped[1], f"{place}.{key}")
    elif kind in PRIMITIVES:
        # For Python true is a number.
        if not isinstance(value, PRIMITIVES[kind]) or isinstance(value, bool) != (kind == "bool"):
            raise Wrong(f"{place} should be {kind}, and is {value!r}")
    elif kind != "object":
        check_model(value, kind, place)


def check_document(document):
    kind = document.get("apiVersion"), document.get("kind")
    if kind not in MODELS:
        raise Wrong(f"no model is known for {kind}")
    check_model(document, MODELS[kind], kind[1])


def refuses(document, what, change):
    """A check that takes everything checks nothing."""
    document = copy.deepcopy(document)
    change(document)
    try:
        check_document(document)
    except Wrong as wrong:
        print("refused, as it has to be:", wrong)
        return
    sys.exit(f"FAILED: {what} was taken")


def refuses_mistakes(document):
    def pod(changed):
        return changed["spec"]["template"]["spec"]

    refuses(document, "a misspelled field",
            lambda changed: pod(changed).update(hostNetworks=True))
    refuses(document, "a string for a boolean",
            lambda changed: pod(changed).update(hostNetwork="true"))
    refuses(document, "a container without a name",
            lambda changed: pod(changed)["containers"][0].pop("name"))
    refuses(document, "a set without a selector", lambda changed: changed["spec"].pop("selector"))


def main():
    documents = []
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as file:
            found = list(yaml.safe_load_all(file))
        for document in found:
            try:
                # What JSON cannot say the API never gets.
                check_document(json.loads(json.dumps(document)))
            except Wrong as wrong:
                sys.exit(f"FAILED: {path}: {wrong}")
        documents += found
    sets = [document for document in documents if document["kind"] == "DaemonSet"]
    if not sets:
        sys.exit("FAILED: no manifests were given")
    refuses_mistakes(sets[0])
    print(f"{len(documents)} documents are as the API wants them")


main()
