"""What RayJob and RayCluster of KubeRay 1.5.1 may hold, as a schema that knows no other fields.

Written after KubeRay's API reference (ray.io/v1) and Kubernetes' (core/v1): names and types of fields. Of a pod's many fields only those
that our manifests use are here, so a new one has to be looked up once.
"""

from jsonschema import Draft202012Validator


def closed(required=(), **properties):
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def array(items):
    return {"type": "array", "items": items}


STRING, INTEGER, BOOLEAN = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "boolean"}
STRINGS = {"type": "object", "additionalProperties": STRING}
NAME = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63}
QUANTITY = {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": r"^\d+(\.\d+)?([KMGT]i?|m)?$"}]}
QUANTITIES = {"type": "object", "additionalProperties": QUANTITY}
METADATA = closed(["name"], name=NAME, namespace=NAME, labels=STRINGS, annotations=STRINGS)
ENV = closed(
    ["name"], name=STRING, value=STRING, valueFrom=closed([], secretKeyRef=closed(["name", "key"], name=NAME, key=STRING))
)  # fmt: skip
HANDLER = closed(["exec"], exec=closed(["command"], command=array(STRING)))
CONTAINER = closed(
    ["name", "image"],
    name=NAME, image=STRING, imagePullPolicy={"enum": ["Always", "IfNotPresent", "Never"]}, workingDir=STRING, env=array(ENV),
    command=array(STRING), args=array(STRING),
    resources=closed([], requests=QUANTITIES, limits=QUANTITIES),
    securityContext=closed(
        [], allowPrivilegeEscalation=BOOLEAN, runAsNonRoot=BOOLEAN, runAsUser=INTEGER,
        capabilities=closed([], add=array(STRING), drop=array(STRING)),
    ),
    lifecycle=closed([], preStop=HANDLER, postStart=HANDLER),
    ports=array(closed(["containerPort"], containerPort=INTEGER, name=NAME)),
    volumeMounts=array(closed(["name", "mountPath"], name=NAME, mountPath=STRING, readOnly=BOOLEAN, subPath=STRING)),
)  # fmt: skip
VOLUME = {
    **closed(
        ["name"],
        name=NAME,
        persistentVolumeClaim=closed(["claimName"], claimName=NAME, readOnly=BOOLEAN),
        emptyDir=closed([], medium={"enum": ["", "Memory"]}, sizeLimit=QUANTITY),
        configMap=closed(["name"], name=NAME),
    ),
    "minProperties": 2,
    "maxProperties": 2,
}
POD = closed(
    ["spec"],
    metadata=closed([], labels=STRINGS, annotations=STRINGS),
    spec=closed(
        ["containers"],
        containers={**array(CONTAINER), "minItems": 1}, volumes=array(VOLUME), automountServiceAccountToken=BOOLEAN,
        terminationGracePeriodSeconds=INTEGER, nodeSelector=STRINGS, serviceAccountName=NAME,
    ),
)  # fmt: skip
CLUSTER = closed(
    ["headGroupSpec", "rayVersion"],
    rayVersion={"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
    authOptions=closed([], mode={"enum": ["disabled", "token"]}),
    enableInTreeAutoscaling=BOOLEAN,
    suspend=BOOLEAN,
    headGroupSpec=closed(["template"], rayStartParams=STRINGS, serviceType=STRING, enableIngress=BOOLEAN, template=POD),
    workerGroupSpecs=array(
        closed(
            ["groupName", "template", "minReplicas", "maxReplicas"],
            groupName=STRING, replicas=INTEGER, minReplicas=INTEGER, maxReplicas=INTEGER, numOfHosts=INTEGER, idleTimeoutSeconds=INTEGER,
            rayStartParams=STRINGS, template=POD,
        )
    ),
)  # fmt: skip
JOB = closed(
    ["entrypoint", "rayClusterSpec"],
    entrypoint=STRING, backoffLimit=INTEGER, activeDeadlineSeconds={"type": "integer", "minimum": 1}, shutdownAfterJobFinishes=BOOLEAN,
    ttlSecondsAfterFinished=INTEGER, runtimeEnvYAML=STRING, suspend=BOOLEAN, jobId=STRING, metadata=STRINGS,
    entrypointNumCpus={"type": "number"}, rayClusterSpec=CLUSTER,
    submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]},
)  # fmt: skip
KINDS = {
    ("ray.io/v1", "RayJob"): closed(["spec"], spec=JOB),
    ("ray.io/v1", "RayCluster"): closed(["spec"], spec=CLUSTER),
    ("v1", "ConfigMap"): closed(["data"], data=STRINGS),
}


def refused(document):
    """Return what KubeRay or Kubernetes would refuse, or not know, in a manifest, each a line with its place."""
    rest = {key: value for key, value in document.items() if key not in ("apiVersion", "kind", "metadata")}
    checks = ((METADATA, document["metadata"]), (KINDS[document["apiVersion"], document["kind"]], rest))
    return [f"{error.json_path}: {error.message}" for schema, value in checks for error in Draft202012Validator(schema).iter_errors(value)]
