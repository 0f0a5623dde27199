// The statements of the slice besides the door's (AccessLog/DoorSQL.swift) and the import's.
import Postgres
import Primitives
import Web

enum CorrectionRequestTag {}
typealias CorrectionRequestID = ID<CorrectionRequestTag>

/// Files a correction for the resident whom the session names: `register.request_correction`.
struct RequestCorrection: Query {
    let credential: CredentialHash
    let id: CorrectionRequestID
    let reference: PublicCode
    let attribute: Attribute
    let sealedStatement: [UInt8]

    var sql: SQL {
        """
        SELECT register.request_correction(
            \(credential.bytes), \(id.uuid), \(reference.description), \(attribute.rawValue), \(sealedStatement))
        """
    }

    /// Whether a request was filed now.
    func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}

/// The database's test of the key-encryption key: the sealed values of `register.key_check`, by key id.
struct KeyChecks: Query {
    var sql: SQL { "SELECT key_id, sealed_test FROM register.key_check" }
    func decode(_ row: inout RowReader) throws -> (keyID: String, sealedTest: [UInt8]) { (try row.next(), try row.next()) }
}
