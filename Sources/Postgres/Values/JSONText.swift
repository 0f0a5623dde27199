// JSON on its way to or from a jsonb column, as text: whoever reads it decides how strictly to decode it.

/// The text of a JSON document. Not checked here: PostgreSQL refuses what is not JSON (SQLSTATE 22P02).
///
/// `jsonb` keeps the meaning, not the text: key order, spaces and duplicate keys are lost, so never hash or sign what comes back.
public struct JSONText: Hashable, Sendable {
    public var text: String

    public init(_ text: String) {
        self.text = text
    }
}
