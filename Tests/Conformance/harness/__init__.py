"""What the tests share: a server of their own, the clients that drive it, and a Chromium without scripts."""
