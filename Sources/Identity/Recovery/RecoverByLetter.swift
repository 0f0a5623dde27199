// Use case: a resident who has neither password nor recovery codes asks for a letter with a code, and comes back with it.
// Decided in `identity.send_recovery_letter`, `identity.recover_by_letter` and `identity.cancel_letter` (0043_recovery_by_letter.sql).
import AccessLog
import Delivery
import Foundation
import Postgres
import Primitives
import Register
import Web

extension IdentityService {
    /// Asks for a letter. Nobody is told whether one leaves: there is none for a name of nobody, for an account that no register record stands behind, and where one left
    /// within the week.
    /// - Parameter address: what requests from the same place have in common (`PageContext.clientAddress`).
    /// - Returns: false when too many letters were asked for from there.
    func askForLetter(typedName: String, address: String) async throws -> Bool {
        let nameHMAC = lookup.signInName(SignInName.any(typedName)?.normalForm ?? typedName)
        // Drawn and hashed whoever it is for, so that it takes as long for nobody.
        let (letter, code, salt) = (OutgoingID.new(), ListedCodes.randomRecoveryCode(), ListedCodes.randomSalt())
        let hash = try await passwords.hash(listed: [code], salt: salt, under: lookup)[0]
        let begun = try await database.exclusive { try await $0.one(BeginRecoveryLetter(nameHMAC: nameHMAC, addressHMAC: addressHMAC(address))) }
        guard begun.isCounted else { return false }
        var sealed: [UInt8] = []
        if let key = begun.key {
            sealed = try OutgoingSealing(vault: vault).parameters(
                ["code": ListedCodes.printed(code, of: .recoveryCodes)], of: letter, for: key.holderID, under: try vault.unwrap(key))
        }
        try await database.exclusive {
            _ = try await $0.execute("SELECT identity.send_recovery_letter(\(nameHMAC), \(letter.uuid), \(salt), \(hash), \(sealed))")
        }
        return true
    }

    /// Uses the code of a letter in place of the password.
    /// - Returns and throws: as ``recover(typedName:code:address:)``.
    func recoverByLetter(typedName: String, code: Redacted<String>, address: String) async throws -> SignedIn {
        let nameHMAC = lookup.signInName(SignInName.any(typedName)?.normalForm ?? typedName)
        let addressHMAC = addressHMAC(address)
        let attempt = try await database.exclusive { try await $0.one(BeginRecovery(.letterCode, nameHMAC: nameHMAC, addressHMAC: addressHMAC)) }
        return try await recover(.letterCode, code, attempt, nameHMAC: nameHMAC, addressHMAC: addressHMAC)
    }

    /// When the letter was asked for whose code the session's person could still get or use; nil where there is none.
    func pendingLetter(_ session: CredentialHash) async throws -> Date? {
        try await database.optional(PendingLetter(session: session))
    }

    /// - Returns: false when there is none.
    func cancelLetter(_ session: CredentialHash) async throws -> Bool {
        try await database.exclusive { try await $0.one(Done("SELECT identity.cancel_letter(\(session.bytes))")) }
    }
}

/// `identity.begin_recovery_letter`.
private struct BeginRecoveryLetter: Query {
    let nameHMAC: [UInt8]
    let addressHMAC: [UInt8]

    var sql: SQL { "SELECT is_counted, holder_id, key_id, wrapped_key FROM identity.begin_recovery_letter(\(nameHMAC), \(addressHMAC))" }

    func decode(_ row: inout RowReader) throws -> (isCounted: Bool, key: SealingKey?) {
        let isCounted = try row.next(Bool.self)
        let (holder, keyID, wrapped) = (try row.next(UUID?.self), try row.next(String?.self), try row.next([UInt8]?.self))
        guard let holder, let keyID, let wrapped else { return (isCounted, nil) }
        return (isCounted, SealingKey(holderID: ResidentID(holder), keyID: keyID, wrappedKey: wrapped))
    }
}

/// `identity.pending_letter`.
private struct PendingLetter: Query {
    let session: CredentialHash

    var sql: SQL { "SELECT made_at FROM identity.pending_letter(\(session.bytes))" }
    func decode(_ row: inout RowReader) throws -> Date { try row.next() }
}
