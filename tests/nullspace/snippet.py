"""The sample of the API's reference, as it is published, with this server's address, key and ids in their places."""

import json
import os

from nullspace import AgentDeployment

import project

deployment, version, _ = AgentDeployment.deploy(project.service("web"))

PUBLISHED = '''
import requests

url = "https://api.13-215-85-171.sslip.io/v1/agent-deployments/{deployment_id}/services"

payload = {
    "version_id": "<string>",
    "envs": {}
}
headers = {
    "Idempotency-Key": "<idempotency-key>",
    "Authorization": "Bearer <token>",
    "Content-Type": "application/json"
}

response = requests.post(url, json=payload, headers=headers)

print(response.text)
'''

places = {
    "https://api.13-215-85-171.sslip.io": os.environ["NULLSPACE_API_URL"],
    "{deployment_id}": deployment.id,
    "<string>": version.id,
    "<idempotency-key>": "published-1",
    "<token>": os.environ["NULLSPACE_API_KEY"],
}
sample = PUBLISHED
for placeholder, value in places.items():
    sample = sample.replace(placeholder, value)

printed = []
exec(sample, {"print": printed.append})
service = json.loads(printed[0])
schema = {
    "id": str, "deployment_id": str, "version_id": str, "status": str, "port": int, "created_at": str,
    "updated_at": str,
}
for name, kind in schema.items():
    assert isinstance(service[name], kind), (name, service)
for name in ("sandbox_id", "process_id", "public_url", "failure_reason", "started_at", "stopped_at"):
    assert service[name] is None, (name, service)
assert service["id"].startswith("adsvc_") and service["idempotency_key"] == "published-1", service
assert "envs" not in service

exec(sample, {"print": printed.append})
assert json.loads(printed[1])["id"] == service["id"], "a repetition makes no second service"
assert len(deployment.list_services().items) == 1
deployment.delete()
project.until(lambda: not AgentDeployment.list().items)
print("secret", "canary-that-nobody-has")
