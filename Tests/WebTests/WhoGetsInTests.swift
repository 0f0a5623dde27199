// Stories about who gets in: refusals first, through the whole middleware.
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Testing

@testable import Web

@Suite struct WhoGetsInTests {
    @Test func aVisitorIsSentToSignInAndBack() async throws {
        try await withSampleCity { client in
            try await client.execute(uri: "/sample?tab=2&x=%2F", method: .get) { response in
                #expect(response.status == .seeOther)
                #expect(response.headers[.location] == "/sign-in?next=/sample%3Ftab%3D2%26x%3D%252F")
                #expect(response.headers[.contentSecurityPolicy] != nil)
            }
            try await client.execute(uri: "/staff/hello", method: .get) { response in
                #expect(response.status == .seeOther)
                #expect(response.headers[.location] == "/sign-in?next=/staff/hello")
            }
        }
    }

    @Test func aDeadSessionIsAVisitorAndItsCookieIsCleared() async throws {
        try await withSampleCity { client in
            try await client.execute(uri: "/sample", method: .get, headers: [.cookie: "stoa_session=long-gone"]) { response in
                #expect(response.status == .seeOther)
                #expect(response.cookie("stoa_session") == "")
            }
        }
    }

    @Test func aResidentIsNoStaffAndStaffAreNoResidents() async throws {
        try await withSampleCity { client in
            try await client.execute(uri: "/staff/hello", method: .get, headers: signedIn(Token.resident)) { response in
                #expect(response.status == .forbidden)
                #expect(response.text.contains("Vous ne pouvez pas voir cette page"))
            }
            try await client.execute(uri: "/sample", method: .get, headers: signedIn(Token.caseworker)) { response in
                #expect(response.status == .forbidden)
            }
        }
    }

    @Test func aRoleOpensItsOwnDoorsOnly() async throws {
        let path = "/staff/cases/0191aaaa-0000-7000-8000-000000000001"
        try await withSampleCity { client in
            try await client.execute(uri: path, method: .get, headers: signedIn(Token.auditor)) { response in
                #expect(response.status == .forbidden)
            }
            try await client.execute(uri: path, method: .get, headers: signedIn(Token.caseworker)) { response in
                #expect(response.status == .ok)
                #expect(response.text.contains("0191aaaa-0000-7000-8000-000000000001"))
            }
        }
    }

    @Test func aSignedInPageShowsTheNameEscapedAndIsNotStored() async throws {
        try await withSampleCity { client in
            try await client.execute(uri: "/sample", method: .get, headers: signedIn(Token.resident)) { response in
                #expect(response.status == .ok)
                #expect(response.text.contains("A&lt;b&gt;-A&amp;A"))
                #expect(response.text.contains("aria-current=\"page\">Sample fr"))
                #expect(response.headers[.cacheControl] == "no-store")
            }
        }
    }

    @Test func theAPIWantsAnAccessTokenAndNeverACookie() async throws {
        try await withSampleCity { client in
            for headers in [
                [:], signedIn(Token.app), signedIn(Token.resident), [.authorization: "Basic YTpi"], [.authorization: "Bearer "],
            ] as [HTTPFields] {
                try await client.execute(uri: "/api/v1/things", method: .get, headers: headers) { response in
                    #expect(response.status == .unauthorized)
                    #expect(response.headers[.wwwAuthenticate] == "Bearer realm=\"stoa\"")
                    #expect(response.headers[.contentType] == "application/problem+json")
                }
            }
            for token in ["unknown", Token.resident] {
                try await client.execute(uri: "/api/v1/things", method: .get, headers: [.authorization: "Bearer \(token)"]) { response in
                    #expect(response.status == .unauthorized)
                    #expect(response.headers[.wwwAuthenticate]?.contains("invalid_token") == true)
                }
            }
            try await client.execute(uri: "/api/v1/things", method: .get, headers: [.authorization: "bearer \(Token.app)"]) { response in
                #expect(response.status == .ok)
                #expect(response.text == #"{"items":[],"who":"A<b>-A&A"}"#)
                #expect(response.headers[.cacheControl] == "no-store")
            }
        }
    }

    @Test func anAccessTokenIsNoSession() async throws {
        try await withSampleCity { client in
            try await client.execute(uri: "/sample", method: .get, headers: signedIn(Token.app)) { response in
                #expect(response.status == .seeOther)
            }
        }
    }

    @Test func anOrganisationsTokenIsNoResidents() async throws {
        try await withSampleCity { client in
            try await client.execute(uri: "/api/v1/things", method: .get, headers: [.authorization: "Bearer \(Token.organisation)"]) {
                response in
                #expect(response.status == .forbidden)
            }
        }
    }

    @Test func aBearerRouteHashesTheTokenAndResolvesNothing() async throws {
        try await withSampleCity { client in
            try await client.execute(uri: "/api/v1/exchange/reads", method: .post) { #expect($0.status == .unauthorized) }
            try await client.execute(uri: "/api/v1/exchange/reads", method: .post, headers: [.authorization: "Bearer anything"]) {
                response in
                #expect(response.text == #"{"credential":32}"#)
            }
        }
    }
}

func signedIn(_ token: String) -> HTTPFields { [.cookie: "stoa_session=\(token)"] }
