// The FAPI 2.0 Security Profile, and its parts for who keeps only some of it: pushed requests, tokens that are bound to a key, one audience.
import City
import Crypto
import Foundation
import HTTPTypes
import HummingbirdTesting
import Postgres
import Primitives
import Testing
import Web

@testable import OpenID

/// Makes proofs, good and bad, without the code that is tested.
private struct Prover: Sendable {
    let maker = AssertionMaker(client: "proof")

    var thumbprint: String {
        let jwk = maker.publicJWK
        let text = #"{"crv":"P-256","kty":"EC","x":"\#(jwk["x"]?.text ?? "")","y":"\#(jwk["y"]?.text ?? "")"}"#
        return Base64URL.encode(Array(SHA256.hash(data: Array(text.utf8))))
    }

    func proof(
        _ path: String, _ method: String = "POST", nonce: String?, token: String? = nil, header: Changes = [:], claims: Changes = [:], signedBy signer: Signer? = nil
    ) throws -> String {
        let signer = signer ?? .es256(maker.key)
        var all: [String: JSONValue] = [
            "htm": .string(method), "htu": .string(issuer + path), "iat": .integer(Int64(Date().timeIntervalSince1970)), "jti": .string(UUID().uuidString),
        ]
        all["nonce"] = nonce.map { .string($0) }
        all["ath"] = token.map { .string(Base64URL.encode(Array(SHA256.hash(data: Array($0.utf8))))) }
        for (name, value) in claims { all[name] = value }
        guard case .object(let members) = maker.publicJWK else { return "" }
        var head: [String: JSONValue] = ["typ": "dpop+jwt", "alg": .string(signer.algorithm), "jwk": .object(members.filter { $0.name != "kid" })]
        for (name, value) in header { head[name] = value }
        func bytes(_ object: [String: JSONValue]) -> [UInt8] { JSONValue.object(object.map { JSONMember($0.key, $0.value) }).serialised() }
        return try maker.compact(header: bytes(head), claims: bytes(all), signer: signer)
    }
}

private let dpop = HTTPField.Name("DPoP") ?? .via
private let dpopNonce = HTTPField.Name("DPoP-Nonce") ?? .via

extension Service {
    fileprivate func push(_ client: any TestClientProtocol, _ changes: [String: String?] = [:], headers: HTTPFields = [:]) async throws -> Answer {
        var fields: [String: String] = [
            "response_type": "code", "redirect_uri": redirectAddress, "state": state, "nonce": nonce, "scope": "openid profile", "code_challenge": challenge,
            "code_challenge_method": "S256", "client_assertion_type": assertionType, "client_assertion": try maker.assertion(),
        ]
        for (name, value) in changes { fields[name] = value }
        return try await client.post("/oauth/par", form: fields.map { ($0.key, $0.value) }, headers: headers)
    }

    fileprivate func address(pushed name: String, more: String = "") -> String { "/oauth/authorize?client_id=\(maker.client)&request_uri=\(escaped(name))" + more }

    /// Pushes, agrees and returns the code.
    fileprivate func pushedCode(_ browser: CityBrowser, _ client: any TestClientProtocol, _ changes: [String: String?] = [:]) async throws -> String {
        let pushed = try await push(client, changes)
        try #require(pushed.status == 201, "\(pushed.text)")
        let name = try #require(pushed.json["request_uri"]?.text)
        var location = try #require(try await browser.get(address(pushed: name)).headers[.location])
        if location.hasPrefix("/oauth/requests/") {
            _ = try await browser.get(location)
            location = try #require(try await browser.post(location + "/allow", [("policy_version", "1")]).headers[.location])
        }
        return try #require(parameters(of: location)["code"])
    }

    /// - Parameter proof: made with the nonce that the server gave.
    fileprivate func redeem(_ code: String, proof: String?, _ client: any TestClientProtocol, _ changes: [String: String?] = [:]) async throws -> Answer {
        var fields: [String: String] = [
            "grant_type": "authorization_code", "code": code, "redirect_uri": redirectAddress, "code_verifier": verifier,
            "client_assertion_type": assertionType, "client_assertion": try maker.assertion(),
        ]
        for (name, value) in changes { fields[name] = value }
        var headers: HTTPFields = [:]
        headers[dpop] = proof
        return try await client.post("/oauth/token", form: fields.map { ($0.key, $0.value) }, headers: headers)
    }
}

@Suite("FAPI 2.0")
struct FAPITests {
    private func serve(_ body: @Sendable (ServiceTown, Service, any TestClientProtocol) async throws -> Void) async throws {
        try await ServiceTown.serve { story, client in
            let maker = AssertionMaker(client: "clinic-records")
            try await ClientRegistration.register(
                .init(
                    id: maker.client, organisation: "clinic", name: LocalisedText([.english: "Records"]), redirectAddresses: ["https://records.example/"],
                    keySet: keySet(maker.publicJWK), scope: ["openid", "profile", "offline_access"], purpose: "sign-in", isFAPI: true,
                    resources: ["https://api.clinic.example/records"]), with: story.city.owner)
            try await body(story, Service(maker: maker, redirectAddress: "https://records.example/"), client)
        }
    }

    /// The nonce that the server wants now.
    private func serverNonce(_ service: Service, _ client: any TestClientProtocol) async throws -> String {
        let answer = try await service.redeem(OpaqueToken().characters, proof: try Prover().proof("/oauth/token", nonce: nil), client)
        #expect(answer.status == 400 && answer.error == "use_dpop_nonce")
        return try #require(answer.headers[dpopNonce])
    }

    private func userInfo(_ token: String?, proof: String?, scheme: String = "DPoP", _ client: any TestClientProtocol) async throws -> Answer {
        var headers: HTTPFields = [.authorization: "\(scheme) \(token ?? "")"]
        headers[dpop] = proof
        return Answer(try await client.executeRequest(uri: "/oauth/userinfo", method: .get, headers: headers, body: nil))
    }

    @Test("The whole way: pushed, agreed, redeemed with a proof; the token opens UserInfo with its key alone; renewing keeps the refresh token")
    func wholeWay() async throws {
        try await serve { story, service, client in
            let browser = CityBrowser(client, session: try await story.city.resident().session)
            let nonce = try await serverNonce(service, client)
            let prover = Prover()
            let code = try await service.pushedCode(browser, client, ["scope": "openid profile offline_access"])
            let tokens = try await service.redeem(code, proof: try prover.proof("/oauth/token", nonce: nonce), client)
            #expect(tokens.status == 200 && tokens.json["token_type"] == "DPoP", "\(tokens.text)")
            #expect(try await verified(tokens.accessToken, client).claims["cnf"]?["jkt"]?.text == prover.thumbprint)
            let token = try #require(tokens.accessToken)
            let good = try await userInfo(token, proof: try prover.proof("/oauth/userinfo", "GET", nonce: nonce, token: token), client)
            #expect(good.status == 200 && good.json["given_name"] == "Ada")

            let wrong: [String: Answer] = [
                "as a bearer token": try await userInfo(token, proof: nil, scheme: "Bearer", client), "without a proof": try await userInfo(token, proof: nil, client),
                "another key": try await userInfo(token, proof: try Prover().proof("/oauth/userinfo", "GET", nonce: nonce, token: token), client),
                "another token's hash": try await userInfo(token, proof: try prover.proof("/oauth/userinfo", "GET", nonce: nonce, token: "other"), client),
                "no hash": try await userInfo(token, proof: try prover.proof("/oauth/userinfo", "GET", nonce: nonce), client),
                "another method": try await userInfo(token, proof: try prover.proof("/oauth/userinfo", nonce: nonce, token: token), client),
                "another address": try await userInfo(token, proof: try prover.proof("/oauth/token", "GET", nonce: nonce, token: token), client),
                "no nonce": try await userInfo(token, proof: try prover.proof("/oauth/userinfo", "GET", nonce: nil, token: token), client),
            ]
            for (name, answer) in wrong { #expect(answer.status == 401 && answer.headers[.wwwAuthenticate] != nil, "\(name)") }
            #expect(wrong["no nonce"]?.headers[dpopNonce] == nonce)

            for _ in 0..<2 {
                var headers: HTTPFields = [:]
                headers[dpop] = try prover.proof("/oauth/token", nonce: nonce)
                let renewed = try await client.post("/oauth/token", form: [
                    ("grant_type", "refresh_token"), ("refresh_token", tokens.json["refresh_token"]?.text ?? ""), ("client_assertion_type", assertionType),
                    ("client_assertion", try service.maker.assertion()),
                ], headers: headers)
                #expect(renewed.status == 200 && renewed.json["refresh_token"] == tokens.json["refresh_token"])
            }
        }
    }

    @Test("What was not pushed does not begin; a code without a proof gives nothing and stays; a proof counts once")
    func compulsory() async throws {
        try await serve { story, service, client in
            let browser = CityBrowser(client, session: try await story.city.resident().session)
            let refused = parameters(of: try await browser.get(service.address(["scope": "openid"])).headers[.location])
            #expect(refused["error"] == "invalid_request" && refused["code"] == nil)
            let nonce = try await serverNonce(service, client)
            let code = try await service.pushedCode(browser, client)
            #expect(try await service.redeem(code, proof: nil, client).error == "invalid_dpop_proof")
            let proof = try Prover().proof("/oauth/token", nonce: nonce)
            #expect(try await service.redeem(OpaqueToken().characters, proof: proof, client).error == "invalid_grant")
            #expect(try await service.redeem(code, proof: proof, client).error == "invalid_dpop_proof")
            #expect(try await service.redeem(code, proof: try Prover().proof("/oauth/token", nonce: nonce), client).status == 200)
        }
    }

    @Test("none, HS256 with the public key, embedded private jwk, wrong typ, unknown crit, another's signature, old, stale nonce: no such proof")
    func badProofs() async throws {
        try await serve { story, service, client in
            let prover = Prover()
            let nonce = try await serverNonce(service, client)
            func proof(_ header: Changes = [:], _ claims: Changes = [:], _ signer: Signer? = nil) throws -> String {
                try prover.proof("/oauth/token", nonce: nonce, header: header, claims: claims, signedBy: signer)
            }
            guard case .object(let members) = prover.maker.publicJWK else { return }
            let old = Int64(Date().timeIntervalSince1970) - 400
            let bad: [String: String] = [
                "none": try proof([:], [:], Signer.none), "HS256": try proof([:], [:], .hmac(Array((prover.maker.publicJWK["x"]?.text ?? "").utf8))),
                "private": try proof(["jwk": .object(members + [JSONMember("d", .string(Base64URL.encode(Array(prover.maker.key.rawRepresentation))))])]),
                "typ": try proof(["typ": "JWT"]), "crit": try proof(["crit": ["x"], "x": 1]), "another's": try proof([:], [:], .es256(P256.Signing.PrivateKey())),
                "no jwk": try proof(["jwk": nil]), "old": try proof([:], ["iat": .integer(old)]), "from the future": try proof([:], ["iat": .integer(old + 800)]),
                "no jti": try proof([:], ["jti": nil]), "no htm": try proof([:], ["htm": nil]), "no iat": try proof([:], ["iat": nil]),
                "another address": try proof([:], ["htu": "https://evil.example/oauth/token"]), "nonsense": "x.y.z",
            ]
            for (name, proof) in bad {
                #expect(try await service.redeem(OpaqueToken().characters, proof: proof, client).error == "invalid_dpop_proof", "\(name)")
            }
            for stale in ["x", Base64URL.encode(Base64URL.randomBytes())] {
                #expect(try await service.redeem(OpaqueToken().characters, proof: try proof([:], ["nonce": .string(stale)]), client).error == "use_dpop_nonce")
            }
            _ = story
        }
    }

    @Test("client assertion replay, wrong audience and audience as an array: with FAPI the issuer alone, as one text; baseline takes the token endpoint too")
    func audience() async throws {
        try await serve { story, service, client in
            for audience in [.string(issuer + "/oauth/token"), .string(issuer + "/oauth/par"), .array([.string(issuer)]), "https://other.example"] as [JSONValue] {
                let answer = try await service.push(client, ["client_assertion": try service.maker.assertion(claims: ["aud": audience])])
                #expect(answer.status == 401 && answer.error == "invalid_client", "\(audience)")
            }
            let assertion = try service.maker.assertion()
            #expect(try await service.push(client, ["client_assertion": assertion]).status == 201)
            #expect(try await service.push(client, ["client_assertion": assertion]).error == "invalid_client", "used before")
            for audience in ["/oauth/token", "/oauth/par", ""] {
                let own = try story.service.maker.assertion(claims: ["aud": .string(issuer + audience)])
                #expect(try await story.service.push(client, ["client_assertion": own]).status == 201)
            }
            await #expect(throws: ClientRegistration.Refusal.self) {
                try await ClientRegistration.register(
                    .init(id: "x", organisation: "clinic", name: LocalisedText([.english: "x"]), redirectAddresses: ["https://x.example/"], keySet: nil, isFAPI: true),
                    with: story.city.owner)
            }
        }
    }

    @Test("A pushed request is begun by its client, in one browser, within its time, as it was pushed")
    func pushed() async throws {
        try await serve { story, service, client in
            let ada = try await story.city.resident()
            let browser = CityBrowser(client, session: ada.session)
            func name(_ service: Service) async throws -> String { try #require(try await service.push(client).json["request_uri"]?.text) }
            let first = try await name(service)
            let page = try #require(try await browser.get(service.address(pushed: first, more: "&scope=openid&redirect_uri=https%3A%2F%2Fevil.example&state=x")).headers[.location])
            #expect(try await browser.get(service.address(pushed: first)).headers[.location] == page, "loaded again")
            #expect(try await CityBrowser(client, session: ada.session).get(service.address(pushed: first)).status == 404)
            #expect(try await browser.get("/oauth/authorize?client_id=clinic-web&request_uri=\(escaped(try await name(service)))").status == 404)
            #expect(try await browser.get(service.address(pushed: "urn:ietf:params:oauth:request_uri:" + OpaqueToken().characters)).status == 404)
            _ = try await browser.get(page)
            let answer = try await browser.post(page + "/allow", [("policy_version", "1")])
            #expect(parameters(of: answer.headers[.location])["state"] == service.state)
            let late = try await name(service)
            try await story.city.setClock(secondsAhead: 91)
            #expect(try await browser.get(service.address(pushed: late)).status == 404)
            for (field, value) in [("redirect_uri", "https://evil.example/"), ("code_challenge_method", "plain"), ("scope", "openid exchange.read"), ("request_uri", "x")] {
                let refused = try await story.service.push(client, [field: value])
                #expect(refused.status == 400 && refused.json["request_uri"] == nil, "\(field)")
            }
            #expect(try await client.post("/oauth/par", form: [("client_id", "clinic-web"), ("response_type", "code")]).status == 401)
        }
    }

    @Test("A code that was bound to a key is redeemed with that key; so is one whose push carried a proof")
    func boundCode() async throws {
        try await serve { story, service, client in
            let browser = CityBrowser(client, session: try await story.city.resident().session)
            let nonce = try await serverNonce(service, client)
            let prover = Prover()
            let code = try await service.pushedCode(browser, client, ["dpop_jkt": prover.thumbprint])
            #expect(try await service.redeem(code, proof: try Prover().proof("/oauth/token", nonce: nonce), client).error == "invalid_grant")
            var headers: HTTPFields = [:]
            headers[dpop] = try prover.proof("/oauth/par", nonce: nonce)
            #expect(try await service.push(client, ["dpop_jkt": Prover().thumbprint], headers: headers).error == "invalid_dpop_proof")
        }
    }

    @Test("A token for another interface names it as audience and does not open UserInfo; what is not registered is no target")
    func resource() async throws {
        try await serve { story, service, client in
            let browser = CityBrowser(client, session: try await story.city.resident().session)
            let nonce = try await serverNonce(service, client)
            let prover = Prover()
            let resource = "https://api.clinic.example/records"
            let code = try await service.pushedCode(browser, client, ["resource": resource])
            let tokens = try await service.redeem(code, proof: try prover.proof("/oauth/token", nonce: nonce), client)
            #expect(try await verified(tokens.accessToken, client).claims["aud"]?.text == resource)
            let answer = try await userInfo(tokens.accessToken, proof: try prover.proof("/oauth/userinfo", "GET", nonce: nonce, token: tokens.accessToken), client)
            #expect(answer.status == 401)
            #expect(try await service.push(client, ["resource": "https://api.bank.example/"]).error == "invalid_target")
            let other = try await service.pushedCode(browser, client)
            #expect(try await service.redeem(other, proof: try prover.proof("/oauth/token", nonce: nonce), client, ["resource": "https://api.bank.example/"]).error == "invalid_target")
        }
    }
}
