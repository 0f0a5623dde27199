// One request to sign a head, from its bytes to the signature. What was signed is committed before anybody gets the signature; of two requests at once the
// database lets one be the next (migrations/0021_witness.sql).
import Foundation
import Postgres
import TransparencyLog

/// Why a head is not signed.
enum CosignRefusal: Error, Hashable, Sendable {
    case malformed
    case unknownLog
    /// No key that is known for the log signed the head, or a signature under its name and id does not fit.
    case notSigned
    case oldSizeTooLarge
    /// The request does not begin with the last head that was signed here, which has this size.
    case anotherSize(Int)
    case inconsistent
}

struct CosignHead: Sendable {
    let request: [UInt8]
    let logs: WitnessedLogs
    let signer: CosignatureSigner

    /// - Returns: the signature for the log to keep.
    /// - Throws: ``CosignRefusal``, in the order of c2sp.org/tlog-witness.
    func perform(in database: Database) async throws -> NoteSignature {
        guard let request = try? AddCheckpointRequest(parsing: self.request), var note = try? SignedNote(parsing: request.checkpoint),
            let checkpoint = try? Checkpoint(text: note.text)
        else { throw CosignRefusal.malformed }
        guard let keys = logs.keys(of: checkpoint.origin) else { throw CosignRefusal.unknownLog }
        do { try note.verify(keys) } catch { throw CosignRefusal.notSigned }
        let head = WitnessedHead(size: checkpoint.size, root: checkpoint.root)

        let latest = try await database.one(LatestHead(witness: signer.verifier, origin: checkpoint.origin))
        do {
            try WitnessRules.check(head, oldSize: request.oldSize, proof: request.proof, latest: latest.head ?? .none)
        } catch .oldSizeTooLarge {
            throw CosignRefusal.oldSizeTooLarge
        } catch .anotherSize(let size) {
            throw CosignRefusal.anotherSize(size)
        } catch .inconsistent {
            throw CosignRefusal.inconsistent
        }

        let signature = try signer.cosign(note.text, at: latest.asOf)
        if latest.head == head { return signature }
        note.keep(signaturesOf: keys)
        note.add(signature)
        let row = NewHead(
            witness: signer.verifier, origin: checkpoint.origin, head: head, previousSize: latest.head?.size, note: note.description)
        guard try await database.execute(row.sql) == 1 else {
            // Another request came first. This signature stays here: it would say that there was no larger tree.
            let winner = try await database.one(LatestHead(witness: signer.verifier, origin: checkpoint.origin))
            throw CosignRefusal.anotherSize(winner.head?.size ?? 0)
        }
        return signature
    }
}
