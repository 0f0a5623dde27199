// On every connection, before any handler: nobody may keep the server waiting by sending a request byte by byte.

/// Thrown to whoever reads a body that did not arrive in time.
struct SlowBody: Error {}
