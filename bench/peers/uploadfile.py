"""FastAPI's UploadFile, as its documentation uses it."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path

from fastapi import FastAPI, UploadFile

FOLDER = Path(os.environ["UPLOADFILE_FOLDER"])
app = FastAPI()


@app.post("/upload")
def upload(file: UploadFile) -> dict[str, str]:
    name = uuid.uuid4().hex
    with (FOLDER / name).open("wb") as target:
        shutil.copyfileobj(file.file, target, 1024 * 1024)
    return {"name": name}
