// What can stand in the log's tree. An access entry is committed to byte for byte; everything else, which other slices keep, by its hash.
public import TransparencyLog

/// What a leaf stands for: `access_log.leaf.kind`.
public enum LeafKind: String, CaseIterable, Sendable {
    case accessEntry = "access_entry"
    case consentEvent = "consent_event"
    case ledgerBatch = "ledger_batch"
    /// Of people about people: `access_log.decision`.
    case decision

    /// Begins the leaf and what it binds to: `access_log.leaf_label`.
    public var label: CommitmentLabel {
        switch self {
        case .accessEntry: CommittedEntry.label
        case .consentEvent: Self.consentLabel
        case .ledgerBatch: Self.ledgerLabel
        case .decision: Self.decisionLabel
        }
    }

    private static let consentLabel = CommitmentLabel("stoa consent leaf v1")
    private static let ledgerLabel = CommitmentLabel("stoa ledger batch leaf v1")
    private static let decisionLabel = CommitmentLabel("stoa decision leaf v1")

    /// For reports, which are in English.
    var words: String {
        switch self {
        case .accessEntry: "entry"
        case .consentEvent: "consent event"
        case .ledgerBatch: "ledger batch"
        case .decision: "decision"
        }
    }
}
