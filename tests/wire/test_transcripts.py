"""The reader of golden transcripts itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.wire.transcripts import Memory, TranscriptError, compact, compact_json, compare, encode_form, read

CONVERSATION = """\
# Two uploads of one name.
# given company acme file-service.bucket=b
# given user anna@acme files:write

POST /api/{{acme}}/a.png?x=1
Authorization: {{basic anna@acme}}
[multipart]
note: two words
file: @photo.png; filename="a b.png"; type=image/png

HTTP 200
Content-Type: application/json

{"id": "{{uuid:id}}",
 "n": {{int}}, "text": "a, b: c"}

### again
# wait

PUT /api/a.png

{"a": 1}

HTTP 204
X-Old: {{absent}}
"""


def test_a_conversation_is_read(tmp_path: Path) -> None:
    path = tmp_path / "wire" / "golden" / "twice.http"
    path.parent.mkdir(parents=True)
    path.write_text(CONVERSATION)
    transcript = read(path)
    first, second = transcript.exchanges
    assert str(transcript) == "wire/twice"
    assert transcript.given("company") == [["acme", "file-service.bucket=b"]]
    assert (first.title, first.method, first.path) == ("Two uploads of one name.", "POST", "/api/{{acme}}/a.png?x=1")
    assert first.headers == [("Authorization", "{{basic anna@acme}}")]
    assert [(p.name, p.value, p.file, p.filename, p.content_type) for p in first.parts] == [
        ("note", "two words", None, None, None),
        ("file", "", "photo.png", "a b.png", "image/png"),
    ]
    assert first.status == 200
    assert first.expected_headers == [("Content-Type", "application/json")]
    assert (second.title, second.directives, second.body) == ("again", ["wait"], '{"a": 1}')
    assert (second.status, second.expected_headers, second.expected_body) == (204, [("X-Old", "{{absent}}")], None)


def test_a_transcript_without_an_answer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "half.http"
    path.write_text("# half\n\nGET /\n")
    with pytest.raises(TranscriptError, match=r"half\.http:3: an exchange needs its answer"):
        read(path)


def test_json_keeps_its_order_and_loses_its_white_space() -> None:
    expected = compact('{\n  "b c": {{int}},\n  "a": [ 1, "x  y" ]\n}')
    assert compare(expected, compact_json(b'{"b c":  12, "a":[1,"x  y"]}'), Memory())
    assert not compare(expected, compact_json(b'{"a":[1,"x  y"],"b c":12}'), Memory())
    assert not compare(expected, compact_json(b'{"b c":"12","a":[1,"x  y"]}'), Memory())


def test_what_a_named_mask_saw_is_remembered() -> None:
    memory = Memory()
    assert compare("{{hex32:id}} {{/[a-c]+/:word}}", "0" * 32 + " abc", memory)
    assert memory == {"id": "0" * 32, "word": "abc"}
    assert memory.fill("/files/{{id}}") == "/files/" + "0" * 32
    assert compare("{{word}}", "abc", memory)
    assert not compare("{{word}}", "abb", memory)
    assert compare("{{/a{2}/:twice}} {{twice}} {{/b/}}", "aa aa b", memory)
    assert not compare("{{/a+/:more}} {{more}}", "aa a", memory)
    with pytest.raises(TranscriptError, match=r"nothing is known as \{\{other\}\}"):
        memory.fill("{{other}}")


def test_a_form_is_encoded_as_curl_does(tmp_path: Path) -> None:
    path = tmp_path / "form.http"
    path.write_text("# form\n\nPOST /\n[multipart]\nfile: @a.txt; type=text/plain\n\nHTTP 200\n")
    body, content_type = encode_form(read(path).exchanges[0].parts, Memory(), lambda name: b"<" + name.encode() + b">")
    boundary = content_type.partition("boundary=")[2]
    assert body.decode() == (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n'
        f"Content-Type: text/plain\r\n\r\n<a.txt>\r\n--{boundary}--\r\n"
    )
