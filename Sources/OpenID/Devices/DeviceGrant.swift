// Use case: a device without a browser signs a resident in (RFC 8628). It shows a short code; the resident types it on a device of their own, is told who asks, and
// answers; the first device asks until then.
import Crypto
import Hummingbird
import Postgres
import Primitives
import Web

struct DeviceGrant: Sendable {
    /// Where residents type the code: short, because they type this too.
    static let typingPath = "/device"
    /// Stands in place of a redirect address: the answer waits for the device, and the resident is told so here.
    static let answeredPath = "/device/done"
    /// RFC 8628 §3.2 and §3.5. Time to find one's telephone and sign in on a slow line.
    static let lifetimeSeconds = 600
    static let intervalSeconds = 5

    let database: Database
    let issuer: String
    let budget: RequestBudget

    /// The answer to a device that begins (§3.2).
    /// - Throws: `OAuthError`.
    func begin(_ parameters: OAuthParameters, by client: RegisteredClient) async throws -> Response {
        guard client.isService, client.hasDevices else { throw OAuthError(.unauthorizedClient, "This client is not registered for devices.") }
        guard budget.take(client.id) else { throw OAuthError(.temporarilyUnavailable, "Too many sign-ins begin at this moment. Try again in some seconds.", status: .serviceUnavailable) }
        let (deviceCode, userCode) = (OpaqueToken(), UserCode.random())
        let asked = try AuthorizationParameters(parameters, client: client, deviceCode: deviceCode)
        let request = AuthorizationRequestID.new()
        try await database.transaction { transaction in
            try await transaction.execute(
                storeAuthorizationRequest(request, asked, .pushed(userCode.hash, secondsToBegin: Self.lifetimeSeconds), lifetimeSeconds: Self.lifetimeSeconds))
            try await transaction.execute("INSERT INTO openid.device_request (hash, request_id) VALUES (\(deviceCode.hash.bytes), \(request))")
        }
        let address = issuer + Self.typingPath
        return Response.json(
            [
                "device_code": .string(deviceCode.characters), "user_code": .string(userCode.written), "verification_uri": .string(address),
                "verification_uri_complete": .string(address + "?user_code=" + userCode.written), "expires_in": .integer(Int64(Self.lifetimeSeconds)),
                "interval": .integer(Int64(Self.intervalSeconds)),
            ], headers: OAuthError.neverStored)
    }
}

/// The code that a device shows and a resident types (RFC 8628 §6.1): eight consonants, so that no word comes of it.
struct UserCode: Sendable, Equatable {
    static let letters = Array("BCDFGHJKLMNPQRSTVWXZ")
    static let count = 8

    let characters: String

    static func random() -> UserCode { UserCode(characters: String((0..<count).map { _ in letters[Int.random(in: 0..<letters.count)] })) }

    private init(characters: String) { self.characters = characters }

    /// - Parameter typed: in any case, with whatever stands between the letters.
    /// - Returns: nil where it can be no code.
    init?(typed: String) {
        let kept = typed.uppercased().filter { $0.isLetter || $0.isNumber }
        guard kept.count == Self.count, kept.allSatisfy(Self.letters.contains) else { return nil }
        characters = kept
    }

    /// As it is shown: in two groups.
    var written: String { characters.prefix(4) + "-" + characters.suffix(4) }

    /// Under which its request is stored. The blank keeps it from being any other name.
    var hash: CredentialHash { CredentialHash(token: "device " + characters) }
}

/// Ties a device's request to the browser in which the code was typed first. No row for a code that is unknown, too old, answered or another browser's.
struct BeginDeviceRequest: Query {
    let code: UserCode
    let browser: CredentialHash

    var sql: SQL {
        """
        UPDATE openid.authorization_request AS r SET browser = \(browser.bytes)
         WHERE r.pushed_hash = \(code.hash.bytes) AND r.answered_at IS NULL AND r.begin_until > public.stoa_now()
           AND (r.browser IS NULL OR r.browser = \(browser.bytes)) AND EXISTS (SELECT FROM openid.device_request AS d WHERE d.request_id = r.id)
        RETURNING r.id
        """
    }

    func decode(_ row: inout RowReader) throws -> AuthorizationRequestID { try row.next() }
}

/// Counts a typed code; false when there were too many.
struct CountDeviceGuess: Query {
    let session: CredentialHash
    var sql: SQL { "SELECT openid.count_device_guess(\(session.bytes))" }
    func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}

/// The tokens of a device's request, or how it stands: `pending`, `slow_down`, `refused`, or an outcome of a code.
struct PollDevice: Query {
    let device: String
    let client: String
    let token: CredentialHash
    let refreshToken: CredentialHash
    let keyThumbprint: String?

    var sql: SQL {
        """
        SELECT outcome, scope, resource, sign_in_id, subject, nonce, signed_in_at, authenticator_assurance::bigint, identity_assurance::bigint, id_token_claims, issued_at
          FROM openid.poll_device(
            \(CredentialHash(token: device).bytes), \(client), \(DeviceGrant.answeredPath), \(PKCE.challenge(of: device)), \(token.bytes),
            \(Int32(ServiceToken.lifetimeSeconds)), \(refreshToken.bytes), \(keyThumbprint as String?))
        """
    }

    func decode(_ row: inout RowReader) throws -> RedeemCode.Row {
        let (outcome, scope) = (try row.next(String.self), try row.next([String]?.self))
        return RedeemCode.Row(outcome: outcome, scope: scope, signIn: try SignIn(&row))
    }
}
