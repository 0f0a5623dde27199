// What an organisation has left of its minute, and how a request beyond it is answered. The counting is in access_log.authorise
// (migrations/0008), the limits are in consent.organisation.
// Decided in `exchange.volume_of` (0019_volume.sql).
import Foundation
import HTTPTypes
import Postgres
import Web

/// `exchange.volume_of`.
struct VolumeOf: Query {
    let credential: CredentialHash

    var sql: SQL {
        "SELECT requests_max, requests_left, subjects_max, subjects_left, seconds_left FROM exchange.volume_of(\(credential.bytes))"
    }

    func decode(_ row: inout RowReader) throws -> ExchangeVolume {
        ExchangeVolume(
            requestsMax: try row.next(), requestsLeft: try row.next(), subjectsMax: try row.next(), subjectsLeft: try row.next(),
            secondsLeft: try row.next())
    }
}

/// The limits of an organisation, and what is left of them.
struct ExchangeVolume: Sendable {
    let requestsMax: Int
    let requestsLeft: Int
    let subjectsMax: Int
    let subjectsLeft: Int
    /// Until the minute ends, at least 1.
    let secondsLeft: Int

    /// Headers and members by draft-ietf-httpapi-ratelimit-headers-10. The policies are named after what they count.
    /// - Parameter isOfList: whether a list was refused, or a read of one resident.
    func problem(isOfList: Bool) -> Problem {
        Problem(
            "quota-exceeded", status: .tooManyRequests, title: "Quota exceeded",
            detail: "Your organisation may read \(requestsMax) residents singly and \(subjectsMax) on lists in a minute. Nothing was read. "
                + "Ask again in \(secondsLeft) seconds, or have the city raise the limit.",
            headers: [
                .retryAfter: "\(secondsLeft)", .rateLimitPolicy: #""requests";q=\#(requestsMax);w=60, "subjects";q=\#(subjectsMax);w=60"#,
                .rateLimit: #""requests";r=\#(requestsLeft);t=\#(secondsLeft), "subjects";r=\#(subjectsLeft);t=\#(secondsLeft)"#,
            ],
            members: [("violated-policies", [isOfList ? "subjects" : "requests"])])
    }
}

extension HTTPField.Name {
    fileprivate static let rateLimitPolicy = HTTPField.Name("RateLimit-Policy") ?? .via
    fileprivate static let rateLimit = HTTPField.Name("RateLimit") ?? .via
}
