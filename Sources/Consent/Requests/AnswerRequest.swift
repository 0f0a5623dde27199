// Use cases of requests: an organisation asks and takes back, a resident answers. The database decides each under the switch's lock
// (migrations/0020), because another tab, another office or the clock may have been faster.
// Decided in `consent.ask`, `consent.answer` and `consent.retract` (0020_consent_requests.sql).
import Postgres
import Web

/// What a resident answers.
struct RequestAnswer: Sendable {
    enum Decision: String, Sendable, CaseIterable {
        case given
        case refused
        case deferred
    }

    let request: ConsentRequestID
    let decision: Decision
    /// Nil: all that was asked. Without meaning for the other two.
    var attributes: [String]?
    /// The policy version that was read, when the asker says so.
    var readVersion: Int?
}

/// A resident's requests.
struct ReceivedRequests: Sendable {
    let database: Database

    /// Those that wait for an answer, oldest first.
    func open(of credential: CredentialHash) async throws -> [ConsentRequest] {
        try await database.query(RequestsOf(credential: credential))
    }

    /// One of them, whatever became of it; nil when there is none, or it is somebody else's.
    func one(_ request: ConsentRequestID, of credential: CredentialHash) async throws -> ConsentRequest? {
        try await database.optional(RequestsOf(credential: credential, request: request))
    }

    func answer(_ answer: RequestAnswer, credential: CredentialHash, language: Language) async throws -> AnswerOutcome {
        let statement = Answer(credential: credential, answer: answer, language: language)
        return try await database.exclusive { try await $0.one(statement) }
    }

    /// - Returns: how many there were; nil when the credential ended meanwhile.
    func refuseAll(credential: CredentialHash, language: Language) async throws -> Int? {
        let statement = RefuseAll(credential: credential, language: language)
        return try await database.exclusive { try await $0.one(statement) }
    }
}

/// An organisation's requests.
struct MadeRequests: Sendable {
    let database: Database

    /// - Returns: the request that was made, or that this key made before.
    /// - Throws: `Problem` that says why nothing was asked.
    func ask(_ body: AskBody, key: IdempotencyKey, credential: CredentialHash) async throws -> AskedRequest {
        let statement = Ask(credential: credential, body: body, key: key)
        let row = try await database.exclusive { try await $0.one(statement) }
        guard row.outcome == .recorded, let request = row.request else { throw row.problem(for: body) }
        return try await one(request, credential: credential)
    }

    /// - Throws: `Problem` 404 also for another organisation's request.
    func one(_ request: ConsentRequestID, credential: CredentialHash) async throws -> AskedRequest {
        switch try await database.optional(RequestOfOrganisation(credential: credential, request: request)) {
        case nil: throw BearerContext.invalidToken
        case .scopeMissing?: throw Problem.insufficientScope("exchange.read")
        case .unknown?: throw Problem.notFound
        case .found(let request)?: return request
        }
    }

    /// Taken back already is taken back.
    /// - Throws: `Problem` that says why not.
    func retract(_ request: ConsentRequestID, credential: CredentialHash) async throws {
        let statement = Retract(credential: credential, request: request)
        switch try await database.exclusive({ try await $0.one(statement) }) {
        case .recorded, .unchanged: return
        case .noRequest: throw Problem.requestClosed
        case .requestUnknown: throw Problem.notFound
        case .scopeMissing: throw Problem.insufficientScope("exchange.read")
        case .credentialInvalid: throw BearerContext.invalidToken
        }
    }
}
