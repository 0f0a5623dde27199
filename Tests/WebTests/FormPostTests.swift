// Stories about posting forms: what is refused, what comes back, what goes through.
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import NIOCore
import Primitives
import Testing

@testable import Web

@Suite struct FormPostTests {
    /// A resident's browser that has opened the form: its cookies and the token on the page.
    private func openForm(_ client: any TestClientProtocol) async throws -> (headers: HTTPFields, token: String) {
        let page = try await client.execute(uri: "/sample", method: .get, headers: signedIn(Token.resident)) { $0 }
        let secret = try #require(page.cookie("stoa_csrf"))
        let token = try #require(page.formToken)
        return ([.cookie: "stoa_session=\(Token.resident); stoa_csrf=\(secret)", .contentType: formContentType], token)
    }

    private func post(_ client: any TestClientProtocol, _ headers: HTTPFields, _ body: String) async throws -> TestResponse {
        try await client.execute(uri: "/sample", method: .post, headers: headers, body: ByteBuffer(string: body)) { $0 }
    }

    @Test func withoutTheRightTokenNothingIsDone() async throws {
        try await withSampleCity { client in
            let (headers, token) = try await openForm(client)
            var withoutSecret = headers
            withoutSecret[.cookie] = "stoa_session=\(Token.resident)"
            let last = token.last == "A" ? "B" : "A"
            for (headers, body) in [
                (headers, "name=Ada"), (headers, "name=Ada&form_token="), (headers, "name=Ada&form_token=\(token.dropLast())\(last)"),
                (headers, "name=Ada&form_token=\(token)&form_token=\(token)"), (withoutSecret, "name=Ada&form_token=\(token)"),
            ] {
                let response = try await post(client, headers, body)
                #expect(response.status == .forbidden)
                #expect(response.text.contains("formulaire") || response.text.contains("form"))
                #expect(response.cookie("stoa_notice") == nil)
            }
        }
    }

    @Test func theTokenIsMaskedAnewOnEveryPageAndEachServes() async throws {
        try await withSampleCity { client in
            let (headers, first) = try await openForm(client)
            let again = try await client.execute(uri: "/sample", method: .get, headers: headers) { $0 }
            let second = try #require(again.formToken)
            #expect(first != second)
            #expect(again.cookie("stoa_csrf") == nil)
            for token in [first, second] {
                let response = try await post(client, headers, "name=Ada&form_token=\(token)")
                #expect(response.status == .seeOther)
                #expect(response.headers[.location] == "/sample")
            }
        }
    }

    @Test func aSessionThatDiedDoesNotKeepItsBrowserFromSigningInAgain() async throws {
        try await withSampleCity { client in
            let dead: HTTPFields = [.cookie: "stoa_session=long-gone"]
            let page = try await client.execute(uri: "/sign-in", method: .get, headers: dead) { $0 }
            #expect(page.cookie("stoa_session") == "")
            let secret = try #require(page.cookie("stoa_csrf"))
            let token = try #require(page.formToken)
            let headers: HTTPFields = [.cookie: "stoa_csrf=\(secret)", .contentType: formContentType]
            let response = try await client.execute(
                uri: "/sign-in", method: .post, headers: headers, body: ByteBuffer(string: "name=a&form_token=\(token)")
            ) { $0 }
            #expect(response.status == .seeOther)
            #expect(response.cookie("stoa_session") == Token.resident)
            #expect(response.cookie("stoa_csrf") == "")
        }
    }

    @Test func aFormOpenedBeforeTheSessionDiedLeadsToSigningIn() async throws {
        try await withSampleCity { client in
            let secret = Base64URL.randomBytes()
            let headers: HTTPFields = [
                .cookie: "stoa_session=long-gone; stoa_csrf=\(Base64URL.encode(secret))", .contentType: formContentType,
            ]
            let response = try await post(client, headers, "name=Ada&form_token=\(CSRF.token(secret: secret, sessionToken: "long-gone"))")
            #expect(response.status == .seeOther)
            #expect(response.headers[.location] == "/sign-in?next=/sample")
            #expect(response.cookie("stoa_notice") == "web.not_saved")
        }
    }

    @Test func aFormOfSomebodySignedOutLeadsToSigningInWithOrWithoutItsToken() async throws {
        try await withSampleCity { client in
            let (headers, token) = try await openForm(client)
            var other = headers
            other[.cookie] = headers[.cookie]?.replacingOccurrences(of: Token.resident, with: "somebody-else")
            var none = headers
            none[.cookie] = nil
            for headers in [other, none] {
                for body in ["name=Ada&form_token=\(token)", "name=Ada"] {
                    let response = try await post(client, headers, body)
                    #expect(response.status == .seeOther)
                    #expect(response.headers[.location] == "/sign-in?next=/sample")
                    #expect(response.cookie("stoa_notice") == "web.not_saved")
                }
            }
        }
    }

    @Test func aGoodPostLeavesANoticeForTheNextPageOnly() async throws {
        try await withSampleCity { client in
            let (headers, token) = try await openForm(client)
            let response = try await post(client, headers, "name=Ada&form_token=\(token)")
            #expect(response.cookie("stoa_notice") == "sample.saved")
            var next = headers
            next[.cookie] = (headers[.cookie] ?? "") + "; stoa_notice=sample.saved"
            let page = try await client.execute(uri: "/sample", method: .get, headers: next) { $0 }
            #expect(page.text.contains("Saved in fr"))
            #expect(page.cookie("stoa_notice") == "")
        }
    }

    @Test func aBadPostComesBackWithWhatWasTypedAndTheErrorTwice() async throws {
        try await withSampleCity { client in
            let (headers, token) = try await openForm(client)
            let response = try await post(client, headers, "name=%22Adalbert%CC%81%3E&form_token=\(token)")
            #expect(response.status == .unprocessableContent)
            #expect(response.text.contains("<title>Erreur"))
            #expect(response.text.contains("value=\"&quot;Adalbert\u{301}&gt;\""))
            #expect(response.text.contains("<a href=\"#name\">«\u{A0}Name\u{A0}»\u{A0}: Écrivez 5 caractères au plus</a>"))
            // Beside its field the message need not say which field it means.
            #expect(response.text.contains("</span>Écrivez 5 caractères au plus</p>"))
            #expect(response.text.contains("aria-describedby=\"name-error\""))
            #expect(response.formToken != nil)
        }
    }

    @Test(arguments: [
        ("name=%ZZ", HTTPResponse.Status.badRequest), ("name=%C3%28", .badRequest), ("name=a%00b", .badRequest), ("name=%4", .badRequest),
    ])
    func malformedBodiesAreRefusedWithAPage(body: String, status: HTTPResponse.Status) async throws {
        try await withSampleCity { client in
            let (headers, token) = try await openForm(client)
            let response = try await post(client, headers, body + "&form_token=\(token)")
            #expect(response.status == status)
            #expect(response.headers[.contentType] == "text/html; charset=utf-8")
            #expect(response.text.contains("Revenez en arrière"))
        }
    }

    @Test func anotherContentTypeAndTooMuchAreRefused() async throws {
        try await withSampleCity { client in
            var (headers, token) = try await openForm(client)
            let large = try await post(client, headers, "name=" + String(repeating: "a", count: 65_536) + "&form_token=\(token)")
            #expect(large.status == .contentTooLarge)
            #expect(large.headers[.connection] == "close")
            headers[.contentType] = "application/json"
            #expect(try await post(client, headers, "{}").status == .unsupportedMediaType)
            headers[.contentType] = nil
            #expect(try await post(client, headers, "name=a&form_token=\(token)").status == .unsupportedMediaType)
        }
    }

    @Test func twoValuesForOneFieldAreAnErrorOfThatField() async throws {
        try await withSampleCity { client in
            let (headers, token) = try await openForm(client)
            let response = try await post(client, headers, "name=a&name=b&form_token=\(token)")
            #expect(response.status == .unprocessableContent)
            #expect(response.text.contains("Ce champ a été envoyé plusieurs fois"))
        }
    }

    @Test func anAPIFormNeedsNoTokenAndRefusesDuplicates() async throws {
        try await withSampleCity { client in
            let headers: HTTPFields = [.contentType: "application/x-www-form-urlencoded; charset=UTF-8"]
            func send(_ body: String) async throws -> TestResponse {
                try await client.execute(uri: "/oauth/token", method: .post, headers: headers, body: ByteBuffer(string: body)) { $0 }
            }
            #expect(try await send("grant_type=client_credentials").text == #"{"grant":"client_credentials"}"#)
            let twice = try await send("grant_type=a&grant_type=b")
            #expect(twice.status == .badRequest)
            #expect(twice.text.contains("http://localhost:8080/problems/duplicate-parameter"))
        }
    }
}
