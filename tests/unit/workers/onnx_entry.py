"""An entry that serves an ONNX model without inputs: the request is ignored."""

import onnxruntime


def open_onnx(parts):
    session = onnxruntime.InferenceSession(parts["model"], providers=["CPUExecutionProvider"])

    def serve(request):
        return str(session.run(None, {})[0].shape).encode()

    return serve
