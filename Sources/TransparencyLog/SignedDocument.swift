// How the city signs what it gives people and organisations to keep: receipts, notices. One key signs all of it and the log's heads, so each
// kind has a label of its own.

extension Ed25519NoteSigner {
    /// Signs the label, a line feed and a document's bytes. A head of the log begins with the log's name, so no label can be taken for one.
    /// - Parameters:
    ///   - label: of the kind of document with its version: `stoa consent receipt v1`.
    ///   - canonical: the document as RFC 8785 writes it.
    /// - Returns: 64 bytes (RFC 8032, Ed25519).
    public func signature(label: String, over canonical: [UInt8]) throws -> [UInt8] {
        try sign(Array((label + "\n").utf8) + canonical)
    }
}
