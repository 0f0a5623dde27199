// The file with which a resident shows, years later and without the city's help, what the log said: the entry itself, or the hash on a receipt, and
// that it is in the tree whose head the log signed. Made here from the database; checked here without one (`stoa verify entry`, /log/verify).
import Foundation
public import TransparencyLog

/// Why a file shows nothing.
public enum EntryProofFault: Error, Hashable, Sendable {
    /// It is no proof at all, or was cut or changed where everybody can see it: in this line, counted from 1, where one can be named.
    case malformed(line: Int?)
    /// The head in it is not signed by this log's key.
    case headNotSigned
    /// The signature of a witness whom the reader trusts does not fit the head.
    case cosignatureInvalid
    /// Entry, salt, place or path are not those that the head covers: one of them was changed.
    case notIncluded
    /// It proves something, but nothing that this program can read.
    case unreadable
}

/// An entry that stands: it is in the log, at this place, word for word.
public struct ProvenEntry: Sendable {
    /// What the log says.
    enum Content: Sendable {
        case entry(CommittedEntry)
        /// The SHA-256 of what another slice keeps.
        case fingerprint(LeafKind, [UInt8])
    }

    let content: Content
    /// The leaf's place in the tree, from 0.
    public let index: Int
    /// Leaves in the tree that the head covers.
    public let treeSize: Int
    /// The log's name.
    public let origin: String
    /// The witnesses, of those that the reader trusts, that signed the head.
    public let witnesses: [CosignatureVerifier]

    /// Checks a file, offline.
    /// - Parameters:
    ///   - file: a `.tlog-proof` of `GET /access-log/{entry}/proof` or `GET /consents/{id}/receipt/proof`. Its lines may end as Windows and mail end
    ///     them, in CR LF.
    ///   - log: the log's key, from somewhere trusted.
    ///   - known: keys of witnesses, from somewhere trusted.
    /// - Throws: the first ``EntryProofFault``.
    public init(
        checking file: some Sequence<UInt8>, log: Ed25519NoteVerifier, witnesses known: [CosignatureVerifier] = []
    ) throws(EntryProofFault) {
        let proof: LogProof
        do {
            proof = try LogProof(parsing: Self.withLineFeeds(file))
        } catch .malformed(let line) {
            throw .malformed(line: line)
        } catch {
            throw .malformed(line: nil)
        }
        guard let kind = LeafKind.allCases.first(where: { proof.extra.starts(with: $0.label.bytes) }),
            proof.extra.count > kind.label.bytes.count + Commitment.saltBytes
        else { throw .unreadable }
        let saltEnd = kind.label.bytes.count + Commitment.saltBytes
        let salt = Array(proof.extra[kind.label.bytes.count..<saltEnd])
        let said = Array(proof.extra[saltEnd...])
        let head: Checkpoint
        do {
            let commitment = try Commitment(label: kind.label, salt: salt, canonicalEntry: said)
            head = try proof.verify(leaf: .leaf(commitment.leafData), log: log)
        } catch LogProofError.headNotSigned {
            throw .headNotSigned
        } catch {
            throw .notIncluded
        }
        do { witnesses = try proof.witnesses(among: known) } catch { throw .cosignatureInvalid }
        guard let content = Content(kind, said) else { throw .unreadable }
        self.content = content
        index = proof.index
        treeSize = head.size
        origin = head.origin
    }

    /// No line of a proof can hold a carriage return, so one before a line feed belongs to the line's end.
    private static func withLineFeeds(_ file: some Sequence<UInt8>) -> [UInt8] {
        var bytes: [UInt8] = []
        for byte in file.prefix(2 * LogProof.bytesMax) {
            if byte == UInt8(ascii: "\n"), bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
            bytes.append(byte)
        }
        return bytes
    }
}

extension ProvenEntry.Content {
    fileprivate init?(_ kind: LeafKind, _ said: [UInt8]) {
        if kind == .accessEntry {
            guard let entry = CommittedEntry(canonicalBytes: said) else { return nil }
            self = .entry(entry)
        } else {
            guard said.count == MerkleHash.byteCount else { return nil }
            self = .fingerprint(kind, said)
        }
    }
}

extension CommittedEntry {
    /// What the commitment of an entry is the SHA-256 of: label, salt and the entry's bytes. It is the `extra` of a proof.
    static func opening(salt: [UInt8], canonicalBytes: [UInt8]) -> [UInt8] { label.bytes + salt + canonicalBytes }

    /// Reads what ``canonicalBytes`` writes; nil for anything that this version does not write so, byte for byte.
    init?(canonicalBytes: [UInt8]) {
        guard let fields = try? CanonicalDecoding.fields(of: canonicalBytes) else { return nil }
        func text(_ number: UInt8) -> String? { if case .string(let text)? = fields[number] { text } else { nil } }
        func uuid(_ number: UInt8) -> UUID? { if case .uuid(let uuid)? = fields[number] { uuid } else { nil } }
        guard let id = uuid(1), case .timestamp(let at)? = fields[2], let actorKind = text(4), let actorID = text(5), let actorRole = text(6),
            let operation = text(9), case .list(let elements)? = fields[10], let purpose = text(11), let outcome = text(16)
        else { return nil }
        let attributes = elements.compactMap { element -> String? in if case .string(let name) = element { name } else { nil } }
        func integer(_ number: UInt8) -> Int64? { if case .integer(let integer)? = fields[number] { integer } else { nil } }
        let previous: [UInt8]? = if case .bytes(let bytes)? = fields[19] { bytes } else { nil }
        self.init(
            id: id, at: at, subjectID: uuid(3), actorKind: actorKind, actorID: actorID, actorRole: actorRole, organisationID: text(7),
            clientID: text(8), operation: operation, attributes: attributes, purpose: purpose, legalBasis: text(12), law: text(13),
            consentEventID: uuid(14), caseReference: text(15), outcome: outcome, refusal: text(17), subjectNumber: integer(18),
            previousCommitment: previous, count: integer(20), breakGlass: uuid(21), sealID: uuid(22))
        // Whatever was not understood above would be missing now.
        guard self.canonicalBytes == canonicalBytes else { return nil }
    }
}
