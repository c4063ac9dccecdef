"""What the end-to-end tests are written with: the proxy as a process, scriptable backends, a strict client."""
