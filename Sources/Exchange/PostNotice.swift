// Posts one notice to one webhook, signed (the way out is Outgoing/GuardedPost.swift).
import Foundation
import HTTPTypes
import Outgoing
import TransparencyLog
import Web

/// The way out to webhooks.
struct NoticePost: Sendable {
    let signer: Ed25519NoteSigner
    let out: GuardedPost

    /// - Parameter now: the moment that the signature names.
    func post(_ notice: Notice, to url: String, now: Date = Date()) async -> PostOutcome {
        await out.post(to: url) { address in
            let body = Array(try notice.item(signedBy: signer).serialised())
            return (body, try fields(of: body, to: address, now: now))
        }
    }

    /// What is signed is whom it is for, what it is, and that it is whole (RFC 9421 §7.2.1, §7.2.2).
    func fields(of body: [UInt8], to address: WebhookAddress, now: Date) throws -> HTTPFields {
        let digest = ContentDigest.field(of: body)
        var fields: HTTPFields = [.contentType: "application/json", .contentDigest: digest, .userAgent: "Stoa"]
        let signed = try signer.messageFields(
            label: "stoa",
            [
                .init("@method", "POST"), .init("@target-uri", address.text), .init("content-type", "application/json"), .init("content-digest", digest),
            ], created: now)
        fields.append(contentsOf: signed)
        return fields
    }
}
