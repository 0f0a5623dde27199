// Reads that both sides can prove later: what a signature must cover, what is refused, what the answer is signed over, and what is kept. The
// lines are written here by hand, after RFC 9421, apart from the code that is tested.
import AccessLog
import City
import Crypto
import Foundation
import HTTPTypes
import HummingbirdTesting
import NIOCore
import Postgres
import Primitives
import Register
import Testing
import TransparencyLog
import Web

@testable import Exchange

/// The city of these tests: its key and its address.
let citySigner: Ed25519NoteSigner = {
    do { return try Ed25519NoteSigner.generate(name: "city.example/log") } catch { fatalError("\(error)") }
}()
let cityAddress: BaseURL = {
    do { return try BaseURL("https://city.example") } catch { fatalError("\(error)") }
}()

private let reads = "/api/v1/exchange/reads"

/// A clinic with two keys that a law lets read names, and one resident.
private struct Town {
    let city: CityFixture
    let clinic: FixtureOrganisation
    let subject: UUID
    let elliptic = P256.Signing.PrivateKey()
    let edwards = Curve25519.Signing.PrivateKey()

    init() async throws {
        city = try await CityFixture.make()
        clinic = try await city.organisation("clinic")
        _ = try await city.activity(clinic, "epidemics", attributes: ["family_name"], law: "Epidemics Act § 3")
        _ = try await city.activity(clinic, "care", attributes: ["phone"])
        subject = try await city.pseudonym(of: city.resident(), for: clinic)
        let point = Array(elliptic.publicKey.x963Representation)
        let keys = """
            {"keys": [{"kty": "EC", "crv": "P-256", "kid": "p", "x": "\(Base64URL.encode(point[1..<33]))", "y": "\(Base64URL.encode(point[33...]))"},
                      {"kty": "OKP", "crv": "Ed25519", "kid": "e", "x": "\(Base64URL.encode(Array(edwards.publicKey.rawRepresentation)))"}]}
            """
        try await city.owner.execute("UPDATE openid.client SET jwks = \(JSONText(keys)) WHERE id = 'clinic'")
    }

    func serve(_ body: @Sendable (Town, any TestClientProtocol) async throws -> Void) async throws {
        let door = Door(database: try city.appPool(sharedConnections: 1))
        try await city.serve({
            ExchangeRoutes(door: door, vault: city.vault, database: city.app, rules: utcRules, signer: citySigner, baseURL: cityAddress).add(to: $0)
        }) { try await body(self, $0) }
    }

    func body(_ purpose: String = "epidemics", _ attribute: String = "family_name") -> String {
        #"{"subject": "\#(subject)", "purpose": "\#(purpose)", "attributes": ["\#(attribute)"], "case_reference": "S-1"}"#
    }

    /// A request with further fields.
    func send(_ client: any TestClientProtocol, _ body: String, _ fields: [String: String] = [:], token: FixtureCredential? = nil, path: String = reads) async throws
        -> CityReply
    {
        var headers: HTTPFields = [.authorization: "Bearer \((token ?? clinic.credential).token)", .contentType: "application/json", .acceptEncoding: "gzip"]
        for (name, value) in fields { headers[try #require(HTTPField.Name(name))] = value }
        let response = try await client.executeRequest(uri: path, method: .post, headers: headers, body: ByteBuffer(string: body))
        return CityReply(status: response.status.code, headers: response.headers, body: Array(response.body.readableBytesView))
    }

    static func digest(_ body: String) -> String { "sha-256=:\(Data(SHA256.hash(data: Data(body.utf8))).base64EncodedString()):" }

    static let covered = #"("@method" "@target-uri" "content-digest")"#

    /// The three fields that sign a read, by the P-256 key unless told otherwise.
    func signed(
        _ body: String, covered: String = covered, lines: String? = nil, parameters: String? = nil, by sign: ((Data) throws -> Data)? = nil
    ) throws -> [String: String] {
        var parameters = covered + (parameters ?? ";created=\(Int(Date().timeIntervalSince1970));keyid=\"p\"")
        if !parameters.contains(";nonce") { parameters += ";nonce=\"\(UUID())\"" }
        let lines = lines ?? "\"@method\": POST\n\"@target-uri\": https://city.example\(reads)\n\"content-digest\": \(Self.digest(body))\n"
        let text = Data((lines + "\"@signature-params\": \(parameters)").utf8)
        let signature = try sign?(text) ?? elliptic.signature(for: text).rawRepresentation
        return [
            "Content-Digest": Self.digest(body), "Signature-Input": "sig1=\(parameters)", "Signature": "sig1=:\(signature.base64EncodedString()):",
        ]
    }
}

private struct CityReply {
    let status: Int
    let headers: HTTPFields
    let body: [UInt8]

    func field(_ name: String) -> String? { HTTPField.Name(name).flatMap { headers[$0] } }

    var json: JSONValue { (try? JSONScanner.scan(body)) ?? .null }
    var problem: String? { json["type"]?.text.flatMap { $0.split(separator: "/").last.map(String.init) } }

    /// Whether the answer is signed by the city over these lines, in this order.
    func isSigned(as label: String, over lines: [String]) -> Bool {
        guard let input = field("Signature-Input"), input.hasPrefix(label + "=") else { return false }
        let parameters = String(input.dropFirst(label.count + 1))
        let names = lines.map { $0.prefix { $0 != ":" } }.joined(separator: " ")
        guard parameters.hasPrefix("(\(names));created=") else { return false }
        guard let text = field("Signature").map({ $0.dropFirst(label.count + 2).dropLast() }), let signature = Data(base64Encoded: String(text)) else { return false }
        return citySigner.verifier.isValid(Array(signature), over: Array((lines + ["\"@signature-params\": \(parameters)"]).joined(separator: "\n").utf8))
    }

    var digest: String { "sha-256=:\(Data(SHA256.hash(data: Data(body))).base64EncodedString()):" }
}

@Suite("Signed exchange")
struct SignedExchangeTests {
    @Test("Who asks for no signature gets none, and nothing is kept")
    func plain() async throws {
        try await Town().serve { town, client in
            let reply = try await town.send(client, town.body())
            #expect(reply.status == 200)
            for name in ["Signature", "Signature-Input", "Content-Digest"] { #expect(reply.field(name) == nil) }
            #expect(try await town.city.owner.one(OneValue("SELECT count(*) FROM exchange.signed_answer", of: Int64.self)) == 0)
        }
    }

    @Test("What cannot be believed is refused, and nothing is read")
    func refusals() async throws {
        try await Town().serve { town, client in
            let body = town.body()
            let now = Int(Date().timeIntervalSince1970)
            let stranger = P256.Signing.PrivateKey()
            let wrong: [(String, [String: String])] = [
                ("another's key", try town.signed(body, by: { try stranger.signature(for: $0).rawRepresentation })),
                ("DER", try town.signed(body, by: { try town.elliptic.signature(for: $0).derRepresentation })),
                ("another key id", try town.signed(body, parameters: ";created=\(now);keyid=\"e\"")),
                ("another algorithm", try town.signed(body, parameters: ";created=\(now);keyid=\"p\";alg=\"ed25519\"")),
                ("no nonce", try town.signed(body, parameters: ";created=\(now);keyid=\"p\";nonce=\"\"")),
                ("a nonce that is no text", try town.signed(body, parameters: ";created=\(now);keyid=\"p\";nonce=7")),
                ("no date", try town.signed(body, parameters: ";keyid=\"p\"")),
                ("expired", try town.signed(body, parameters: ";created=\(now - 20);expires=\(now - 10);keyid=\"p\"")),
                ("no moment", try town.signed(body, parameters: ";created=\(now);expires=\"soon\";keyid=\"p\"")),
                ("input alone", try town.signed(body).filter { $0.key != "Signature" }),
                ("one label twice", try town.signed(body).merging([:]) { $1 }.mapValues { $0.hasPrefix("sig1=(") ? "sig1=(\"@method\");created=1;keyid=\"e\", " + $0 : $0 }),
                ("too old", try town.signed(body, parameters: ";created=\(now - 400);keyid=\"p\"")),
                ("of tomorrow", try town.signed(body, parameters: ";created=\(now + 86_400);keyid=\"p\"")),
                ("without the digest", try town.signed(body, covered: #"("@method" "@target-uri")"#, lines: "\"@method\": POST\n\"@target-uri\": https://city.example\(reads)\n")),
                ("another address", try town.signed(body, lines: "\"@method\": POST\n\"@target-uri\": https://town.example\(reads)\n\"content-digest\": \(Town.digest(body))\n")),
                ("two", try town.signed(body).mapValues { $0.hasPrefix("sig1") ? $0 + ", " + $0.replacing("sig1", with: "sig2") : $0 }),
                ("no input", try town.signed(body).filter { $0.key != "Signature-Input" }),
                ("no bytes", try town.signed(body).merging(["Signature": "sig1=soon"]) { $1 }),
                ("no dictionary", try town.signed(body).merging(["Signature-Input": "(("]) { $1 }),
                ("another label", try town.signed(body).merging(["Signature-Input": "sig2=\(Town.covered);created=\(now)"]) { $1 }),
                ("a parameter", try town.signed(body, covered: #"("@method";req "@target-uri" "content-digest")"#)),
                ("a field that is not there", try town.signed(body, covered: #"("@method" "@target-uri" "content-digest" "date")"#)),
                ("too long", try town.signed(body, parameters: ";created=\(now);nonce=\"\(String(repeating: "n", count: 2000))\"")),
            ]
            for (name, fields) in wrong {
                let reply = try await town.send(client, body, fields)
                #expect(reply.status == 401 && reply.problem == "signature-invalid", "\(name): \(reply.status) \(String(decoding: reply.body, as: UTF8.self))")
                #expect(reply.field("Accept-Signature")?.contains("content-digest") == true)
            }
            // The body was exchanged on the way.
            let swapped = try await town.send(client, town.body("care", "phone"), try town.signed(body))
            #expect(swapped.status == 400 && swapped.problem == "content-digest-wrong")
            for digest in ["", "sha-256=:AAAA:", "sha-512=:AAAA:", "md5=:AAAA:", Town.digest(body + " ")] {
                #expect(try await town.send(client, body, ["Content-Digest": digest, "Accept-Signature": "sig=()"]).problem == "content-digest-wrong", "\(digest)")
            }
            let unknown = try await town.send(client, body, try town.signed(body), token: FixtureCredential())
            #expect(unknown.status == 401 && unknown.problem == "unauthorised")
            #expect(try await town.send(client, "{", ["Accept-Signature": "sig=()"]).problem == "malformed-json")
            #expect(try await town.city.entryCount() == 0)
            #expect(try await town.send(client, body, try town.signed(body, parameters: ";created=\(now);expires=\(now + 60);keyid=\"p\"")).status == 200)
            // A label that nobody needs that long is not taken over.
            let long = String(repeating: "l", count: 5_000)
            let named = try await town.send(client, body, ["Accept-Signature": "\(long)=(\"@status\" \"content-digest\")"])
            #expect(named.status == 200 && named.field("Signature")?.hasPrefix("stoa=:") == true)
            // Another organisation's key is nobody's key here.
            let shop = try await town.city.organisation("shop")
            #expect(try await town.send(client, body, try town.signed(body), token: shop.credential).problem == "signature-invalid")
        }
    }

    @Test("A signed request is answered over its own digest and signature; what is kept shows both, and no body", arguments: ["p", "e"])
    func signed(key: String) async throws {
        try await Town().serve { town, client in
            let body = town.body()
            let fields = try town.signed(
                body, parameters: ";created=\(Int(Date().timeIntervalSince1970));keyid=\"\(key)\";alg=\"\(key == "p" ? "ecdsa-p256-sha256" : "ed25519")\"",
                by: key == "p" ? nil : { try town.edwards.signature(for: $0) })
            let reply = try await town.send(client, body, fields)
            #expect(reply.status == 200, "\(String(decoding: reply.body, as: UTF8.self))")
            #expect(reply.json["attributes"]?["family_name"] == "Byron")
            // The bytes that travel are those of the digest, whatever encoding the client would take.
            #expect(reply.field("Content-Encoding") == nil)
            #expect(reply.field("Content-Digest") == reply.digest)
            let signature = try #require(fields["Signature"]?.dropFirst("sig1=".count))
            let lines = [
                "\"@status\": 200", "\"content-type\": application/json", "\"content-digest\": \(reply.digest)", "\"@method\";req: POST",
                "\"@target-uri\";req: https://city.example\(reads)", "\"content-digest\";req: \(Town.digest(body))", "\"signature\";req;key=\"sig1\": \(signature)",
            ]
            #expect(reply.isSigned(as: "stoa", over: lines))
            #expect(!reply.isSigned(as: "stoa", over: lines.map { $0.replacing("200", with: "403") }))
            let kept = "exchange.signed_answer WHERE entry_id = \(try #require(reply.json["access_entry"]?.text.flatMap { UUID(uuidString: $0) }))" as SQL
            #expect(try await town.city.owner.one(OneValue("SELECT request_sha256 = sha256(\(Array(body.utf8))) FROM \(kept)", of: Bool.self)))
            #expect(try await town.city.owner.one(OneValue("SELECT answer_sha256 = sha256(\(reply.body)) FROM \(kept)", of: Bool.self)))
            #expect(try await town.city.owner.one(OneValue("SELECT request_input FROM \(kept)", of: String.self)) == fields["Signature-Input"])
            #expect(try await town.city.owner.one(OneValue("SELECT answer_signature FROM \(kept)", of: String.self)) == reply.field("Signature"))
            let row = try await town.city.owner.one(OneValue("SELECT s::text FROM exchange.signed_answer AS s", of: String.self))
            #expect(!row.contains("Byron"))
        }
    }

    @Test("A recorded request is not answered again, also not at the same moment; a nonce is the client's own, and wasted by nobody else")
    func replay() async throws {
        try await Town().serve { town, client in
            let (body, now) = (town.body(), Int(Date().timeIntervalSince1970))
            let fields = try town.signed(body)
            let replies = try await withThrowingTaskGroup(of: CityReply.self) { group in
                for _ in 0..<6 { group.addTask { try await town.send(client, body, fields) } }
                return try await group.reduce(into: [CityReply]()) { $0.append($1) }
            }
            #expect(replies.count { $0.status == 200 } == 1)
            #expect(replies.count { $0.status == 401 && $0.problem == "signature-invalid" } == 5)
            #expect(try await town.city.entryCount() == 1)
            // Signed anew, but with the same nonce.
            let nonce = "nonce=\"once\""
            #expect(try await town.send(client, body, try town.signed(body, parameters: ";created=\(now);keyid=\"p\";\(nonce)")).status == 200)
            #expect(try await town.send(client, body, try town.signed(body, parameters: ";created=\(now - 1);keyid=\"p\";\(nonce)")).status == 401)
            // Who cannot sign spends nothing.
            let stranger = P256.Signing.PrivateKey()
            let other = ";created=\(now);keyid=\"p\";nonce=\"twice\""
            #expect(try await town.send(client, body, try town.signed(body, parameters: other, by: { try stranger.signature(for: $0).rawRepresentation })).status == 401)
            #expect(try await town.send(client, body, try town.signed(body, parameters: other)).status == 200)
            // What no signature needs any more goes.
            let count = OneValue("SELECT count(*) FROM exchange.request_nonce", of: Int64.self)
            try await town.city.app.execute("SELECT exchange.remove_past_nonces()")
            #expect(try await town.city.owner.one(count) == 3)
            try await town.city.setClock(secondsAhead: 362)
            try await town.city.app.execute("SELECT exchange.remove_past_nonces()")
            #expect(try await town.city.owner.one(count) == 0)
        }
    }

    @Test("Who only asks for a signature gets one, under the wanted label, over a refusal and a list as well")
    func accepted() async throws {
        try await Town().serve { town, client in
            let accept = ["Accept-Signature": #"city=("@status" "content-digest");created"#]
            let request = ["\"@method\";req: POST", "\"@target-uri\";req: https://city.example\(reads)"]
            let read = try await town.send(client, town.body(), accept)
            #expect(read.isSigned(as: "city", over: ["\"@status\": 200", "\"content-type\": application/json", "\"content-digest\": \(read.digest)"] + request))
            let refused = try await town.send(client, town.body("care", "phone"), accept)
            #expect(refused.status == 403 && refused.problem == "consent-missing")
            #expect(
                refused.isSigned(
                    as: "city", over: ["\"@status\": 403", "\"content-type\": application/problem+json", "\"content-digest\": \(refused.digest)"] + request))
            let list = #"{"subjects": ["\#(town.subject)"], "purpose": "epidemics", "attributes": ["family_name"], "case_reference": "S-1"}"#
            let lists = "/api/v1/exchange/lists"
            let listed = try await town.send(client, list, accept, path: lists)
            #expect(
                listed.isSigned(
                    as: "city",
                    over: [
                        "\"@status\": 200", "\"content-type\": application/json", "\"content-digest\": \(listed.digest)", "\"@method\";req: POST",
                        "\"@target-uri\";req: https://city.example\(lists)",
                    ]))
            #expect(
                try await town.city.owner.query(
                    OneValue("SELECT e.outcome FROM exchange.signed_answer AS s JOIN access_log.entry AS e ON e.id = s.entry_id ORDER BY s.at", of: String.self))
                    == ["permitted", "refused", "permitted"])
            #expect(try await town.city.owner.one(OneValue("SELECT count(request_input) FROM exchange.signed_answer", of: Int64.self)) == 0)
        }
    }

    @Test("Proofs are kept only beside an entry of the very client, once, and never change")
    func kept() async throws {
        try await Town().serve { town, client in
            let read = try await town.send(client, town.body(), [:])
            let entry = try #require(read.json["access_entry"]?.text.flatMap { UUID(uuidString: $0) })
            let shop = try await town.city.organisation("shop")
            let zeros = [UInt8](repeating: 0, count: 32)
            let keep = { (credential: FixtureCredential, entry: UUID) in
                try await town.city.app.execute(
                    "SELECT exchange.keep_proof(\(credential.hash.bytes), \(entry), \(zeros), NULL, NULL, 200::smallint, \(zeros), 'i', 's')")
            }
            for (credential, id) in [(shop.credential, entry), (FixtureCredential(), entry), (town.clinic.credential, UUID())] {
                let error = await #expect(throws: DatabaseError.self) { _ = try await keep(credential, id) }
                #expect(error?.isPermissionDenied == true)
            }
            _ = try await keep(town.clinic.credential, entry)
            let again = await #expect(throws: DatabaseError.self) { _ = try await keep(town.clinic.credential, entry) }
            #expect(again?.isUniqueViolation == true)
            for statement in ["UPDATE exchange.signed_answer SET status = 403", "DELETE FROM exchange.signed_answer", "TRUNCATE exchange.signed_answer"] {
                let error = await #expect(throws: DatabaseError.self) { try await town.city.owner.execute(SQL(unsafeRaw: statement)) }
                #expect(error?.sqlState == "23001")
            }
            let denied = await #expect(throws: DatabaseError.self) { try await town.city.app.execute("SELECT * FROM exchange.signed_answer") }
            #expect(denied?.isPermissionDenied == true)
        }
    }
}
