// What every answer looks like, errors first: status, type, headers, language, bytes on the wire.
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import NIOCore
import Testing

@testable import Web

@Suite struct AnswerTests {
    // MARK: Errors

    @Test func anUnknownAddressIsAPageForPeopleAndAProblemForPrograms() async throws {
        try await withSampleCity { client in
            try await client.execute(uri: "/nowhere", method: .get, headers: [.acceptLanguage: "ar-MA,fr;q=0.5"]) { response in
                #expect(response.status == .notFound)
                #expect(response.text.contains("<html lang=\"ar\" dir=\"rtl\">"))
                #expect(response.text.contains("لا توجد صفحة بهذا العنوان"))
                #expect(response.headers[.cacheControl] == "no-store")
            }
            for path in [
                "/api/v1/nowhere", "/oauth/nowhere", "/.well-known/nowhere", "/health/nowhere", "/log/nowhere", "/api", "/assets/stoa.css",
            ] {
                try await client.execute(uri: path, method: .get) { response in
                    #expect(response.status == .notFound)
                    #expect(response.headers[.contentType] == "application/problem+json")
                    #expect(
                        response.text.hasPrefix(#"{"type":"http://localhost:8080/problems/not-found","title":"Not found","status":404"#))
                    #expect(response.headers[.contentSecurityPolicy] == "default-src 'none'; frame-ancestors 'none'")
                }
            }
        }
    }

    @Test func aWrongMethodNamesTheRightOnes() async throws {
        try await withSampleCity { client in
            try await client.execute(uri: "/sample", method: .delete) { response in
                #expect(response.status == .methodNotAllowed)
                #expect(response.headers[.allow] == "GET, HEAD, POST")
                #expect(response.headers[.contentType] == "text/html; charset=utf-8")
            }
            try await client.execute(uri: "/api/v1/things/1", method: .get) { response in
                #expect(response.status == .methodNotAllowed)
                #expect(response.headers[.allow] == "PUT")
                #expect(response.text.contains("/problems/method-not-allowed"))
            }
        }
    }

    @Test func headIsGetWithoutItsBody() async throws {
        try await withSampleCity { client in
            for path in ["/hello", "/nowhere", "/api/openapi.yaml", "/health/live"] {
                let get = try await client.execute(uri: path, method: .get) { $0 }
                let head = try await client.execute(uri: path, method: .head) { $0 }
                #expect(head.status == get.status)
                #expect(head.body.readableBytes == 0)
                #expect(head.headers[.contentLength] == get.headers[.contentLength])
                #expect(head.headers[.contentType] == get.headers[.contentType])
            }
        }
    }

    @Test func whatNobodyForesawIsShownBlandly() async throws {
        try await withSampleCity { client in
            try await client.execute(uri: "/undeclared-error", method: .get) { response in
                #expect(response.status == .internalServerError)
                #expect(response.text.contains("Something went wrong on our side"))
                #expect(!response.text.contains("SampleError") && !response.text.contains("trouble"))
                #expect(response.headers[.contentSecurityPolicy] != nil)
            }
        }
    }

    @Test(arguments: [
        (#"{"state":"on","extra":1}"#, "application/json", HTTPResponse.Status.badRequest, "invalid-body"),
        (#"{"state":1}"#, "application/json", .badRequest, "invalid-body"),
        (#"{"state":"on","state":"on"}"#, "application/json", .badRequest, "malformed-json"),
        (#"{"state":"on"} "#, "text/plain", .unsupportedMediaType, "wrong-content-type"),
        (#"{"state":"\#(String(repeating: "a", count: 1_000))"}"#, "application/json", .contentTooLarge, "body-too-large"),
        (#"{"state":"\#(String(repeating: "a", count: 11))"}"#, "application/json", .badRequest, "invalid-body"),
        ("", "application/json", .badRequest, "malformed-json"),
    ])
    func badBodiesOfTheAPIHaveAStatusAndAStableType(body: String, type: String, status: HTTPResponse.Status, slug: String) async throws {
        try await withSampleCity { client in
            try await client.execute(
                uri: "/api/v1/things/0191aaaa-0000-7000-8000-000000000001", method: .put,
                headers: [.authorization: "Bearer \(Token.app)", .contentType: type], body: ByteBuffer(string: body)
            ) { response in
                #expect(response.status == status)
                #expect(response.headers[.contentType] == "application/problem+json")
                #expect(response.text.contains("\"type\":\"http://localhost:8080/problems/\(slug)\""))
            }
        }
    }

    @Test func aMalformedIdIsNotFound() async throws {
        try await withSampleCity { client in
            for id in ["1", "0191aaaa00007000800000000000001", "%00", "..", "0191AAAA-0000-7000-8000-00000000000g"] {
                try await client.execute(
                    uri: "/api/v1/things/\(id)", method: .put,
                    headers: [.authorization: "Bearer \(Token.app)", .contentType: "application/json"],
                    body: ByteBuffer(string: #"{"state":"on"}"#)
                ) { #expect($0.status == .notFound) }
            }
        }
    }

    // MARK: Headers

    @Test func everyPageForbidsWhatItDoesNotNeed() async throws {
        try await withSampleCity(sampleConfiguration(baseURL: "https://city.example")) { client in
            for path in ["/hello", "/nowhere", "/sample"] {
                try await client.execute(uri: path, method: .get) { response in
                    #expect(
                        response.headers[.contentSecurityPolicy]
                            == "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
                    )
                    #expect(response.headers[.xContentTypeOptions] == "nosniff")
                    #expect(response.headers[.referrerPolicy] == "no-referrer")
                    #expect(response.headers[.crossOriginOpenerPolicy] == "same-origin")
                    #expect(response.headers[.crossOriginResourcePolicy] == "same-origin")
                    #expect(response.headers[.permissionsPolicy]?.contains("camera=()") == true)
                    #expect(response.headers[.strictTransportSecurity] == "max-age=31536000")
                }
            }
        }
    }

    @Test func aPageMayLetItsFormLeadToOneMoreOriginAndToNothingElse() async throws {
        try await withSampleCity { client in
            try await client.execute(uri: "/leave", method: .get) { response in
                #expect(response.headers[.contentSecurityPolicy]?.contains("form-action 'self' https://clinic.example; base-uri") == true)
                #expect(response.headers[.strictTransportSecurity] == nil)
            }
        }
    }

    // MARK: Language

    @Test func theLanguageIsTheAccountsThenTheCookiesThenTheBrowsers() async throws {
        try await withSampleCity { client in
            let wishes: [(path: String, headers: HTTPFields, language: String)] = [
                ("/hello", [:], "en"), ("/hello", [.acceptLanguage: "de, fr-CA;q=0.8, en;q=0.7"], "fr"),
                ("/oauth/ask", [.acceptLanguage: "ar"], "ar"), ("/hello", [.acceptLanguage: "fr", .cookie: "stoa_language=ar"], "ar"),
                ("/hello", [.cookie: "stoa_language=xx"], "en"),
                ("/sample", [.acceptLanguage: "en", .cookie: "stoa_language=ar; stoa_session=\(Token.resident)"], "fr"),
            ]
            for wish in wishes {
                try await client.execute(uri: wish.path, method: .get, headers: wish.headers) { response in
                    #expect(response.headers[.contentLanguage] == wish.language)
                }
            }
        }
    }

    @Test func aPageUnderTheAddressesOfProgramsIsStillAPage() async throws {
        try await withSampleCity { client in
            try await client.execute(
                uri: "/oauth/ask", method: .post, headers: [.contentType: formContentType, .acceptLanguage: "fr"],
                body: ByteBuffer(string: "a=b")
            ) { response in
                #expect(response.status == .forbidden)
                #expect(response.text.contains("Ce formulaire n’a pas pu être envoyé"))
            }
        }
    }

    @Test func choosingALanguageLeadsBackAndNowhereElse() async throws {
        try await withSampleCity { client in
            func choose(_ body: String) async throws -> TestResponse {
                try await client.execute(
                    uri: "/language", method: .post, headers: [.contentType: formContentType], body: ByteBuffer(string: body)
                ) { $0 }
            }
            let chosen = try await choose("language=ar&return_to=%2Fhello%3Fa%3D1")
            #expect(chosen.status == .seeOther)
            #expect(chosen.headers[.location] == "/hello?a=1")
            #expect(chosen.cookie("stoa_language") == "ar")
            for elsewhere in ["https%3A%2F%2Fevil.example", "%2F%2Fevil.example", "javascript%3A1"] {
                let response = try await choose("language=fr&return_to=\(elsewhere)")
                #expect(response.headers[.location] == "/")
            }
            let unknown = try await choose("language=xx")
            #expect(unknown.status == .badRequest)
        }
    }

    @Test func anErrorPageKeepsTheFrameOfWhoIsSignedIn() async throws {
        try await withSampleCity { client in
            try await client.execute(uri: "/staff/hello", method: .get, headers: signedIn(Token.resident)) { response in
                #expect(response.status == .forbidden)
                #expect(response.text.contains("action=\"/sign-out\"") && !response.text.contains("href=\"/sign-in\""))
            }
            try await client.execute(uri: "/hello", method: .get) { #expect($0.text.contains("href=\"/sign-in\"")) }
            // Nobody was looked up for an unknown address, so the page claims neither.
            try await client.execute(uri: "/nowhere", method: .get, headers: signedIn(Token.resident)) { response in
                #expect(!response.text.contains("/sign-in") && !response.text.contains("/sign-out"))
            }
        }
    }

    // MARK: Delivery

    @Test func publicPagesAreRevalidatedAndStayTheSame() async throws {
        try await withSampleCity { client in
            let first = try await client.execute(uri: "/hello", method: .get) { $0 }
            let tag = try #require(first.headers[.eTag])
            #expect(first.headers[.cacheControl] == "no-cache")
            #expect(first.headers[values: .setCookie].isEmpty)
            for header in [tag, "\"other\", \(tag)", "W/\(tag)", "*"] {
                try await client.execute(uri: "/hello", method: .get, headers: [.ifNoneMatch: header]) { response in
                    #expect(response.status == .notModified)
                    #expect(response.body.readableBytes == 0)
                    #expect(response.headers[.eTag] == tag)
                }
            }
            try await client.execute(uri: "/hello", method: .get, headers: [.ifNoneMatch: "\"other\""]) { #expect($0.status == .ok) }
            try await client.execute(uri: "/hello", method: .get, headers: [.ifNoneMatch: tag, .acceptLanguage: "fr"]) {
                #expect($0.status == .ok)
            }
            try await client.execute(uri: "/sample", method: .get, headers: signedIn(Token.resident)) { #expect($0.headers[.eTag] == nil) }
        }
    }

    @Test func textIsCompressedWhenItMayBe() async throws {
        try await withSampleCity { client in
            let plain = try await client.execute(uri: "/hello", method: .get) { $0 }
            let gzip = try await client.execute(uri: "/hello", method: .get, headers: [.acceptEncoding: "br, gzip;q=0.9"]) { $0 }
            #expect(gzip.headers[.contentEncoding] == "gzip")
            #expect(gzip.headers[.vary]?.contains("Accept-Encoding") == true)
            #expect(gzip.headers[.contentLength] == String(gzip.body.readableBytes))
            #expect(gzip.body.readableBytes < plain.body.readableBytes * 2 / 3)
            #expect(try gunzip(Array(gzip.body.readableBytesView)) == Array(plain.body.readableBytesView))
            #expect(gzip.headers[.eTag] != plain.headers[.eTag])
            let again = try await client.execute(
                uri: "/hello", method: .get, headers: [.acceptEncoding: "gzip", .ifNoneMatch: gzip.headers[.eTag] ?? ""]
            ) { $0 }
            #expect(again.status == .notModified)
            for refusal in ["gzip;q=0", "identity", "br"] {
                try await client.execute(uri: "/hello", method: .get, headers: [.acceptEncoding: refusal]) {
                    #expect($0.headers[.contentEncoding] == nil)
                }
            }
        }
    }

    @Test func aCookieBearingPageIsNotCompressedForAnotherSite() async throws {
        try await withSampleCity { client in
            var headers = signedIn(Token.resident)
            headers[.acceptEncoding] = "gzip"
            for (site, isCompressed) in [("cross-site", false), ("same-origin", true), ("none", true)] {
                headers[.secFetchSite] = site
                try await client.execute(uri: "/sample", method: .get, headers: headers) { response in
                    #expect((response.headers[.contentEncoding] == "gzip") == isCompressed)
                }
            }
        }
    }

    @Test func smallAnswersAreNotCompressed() async throws {
        try await withSampleCity { client in
            try await client.execute(uri: "/health/live", method: .get, headers: [.acceptEncoding: "gzip"]) { response in
                #expect(response.headers[.contentEncoding] == nil)
                #expect(response.text == #"{"status":"live"}"#)
            }
        }
    }

    @Test func theStylesheetHasItsHashInItsNameAndIsKeptForGood() async throws {
        try await withSampleCity { client in
            let page = try await client.execute(uri: "/hello", method: .get) { $0.text }
            let address = try #require(page.range(of: "href=\"/assets/stoa.")).lowerBound
            let path = String(page[page.index(address, offsetBy: 6)...].prefix { $0 != "\"" })
            try await client.execute(uri: path, method: .get) { response in
                #expect(response.status == .ok)
                #expect(response.headers[.contentType] == "text/css; charset=utf-8")
                #expect(response.headers[.cacheControl] == "public, max-age=31536000, immutable")
                #expect(!response.text.contains("/*"))
            }
        }
    }

    // MARK: Log

    @Test func theLogNamesTheRouteAndNobody() async throws {
        let log = LogLines()
        try await withSampleCity(sampleConfiguration(log: log)) { client in
            try await client.execute(
                uri: "/staff/cases/0191aaaa-0000-7000-8000-000000000001?name=Ada", method: .get, headers: signedIn(Token.caseworker)
            ) { _ in }
            try await client.execute(uri: "/nowhere/Ada?x=1", method: .get) { _ in }
        }
        #expect(log.all.count == 2)
        for line in log.all {
            let value = try JSONScanner.scan(line.utf8)
            #expect(!line.contains("Ada") && !line.contains("0191aaaa") && !line.contains("?"))
            guard case .object(let members) = value else { return #expect(Bool(false), "the line is no object") }
            #expect(members.map(\.name) == ["at", "request_id", "method", "route", "status", "duration_ms", "bytes"])
        }
        #expect(log.all[0].contains(#""route":"/staff/cases/{id}","status":200"#))
        #expect(log.all[1].contains(#""route":"NotFound","status":404"#))
    }
}

/// The system's gzip undoes what ours did.
func gunzip(_ bytes: [UInt8]) throws -> [UInt8] {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/gzip")
    process.arguments = ["-dc"]
    let (input, output) = (Pipe(), Pipe())
    process.standardInput = input
    process.standardOutput = output
    try process.run()
    input.fileHandleForWriting.write(Data(bytes))
    try input.fileHandleForWriting.close()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return Array(data)
}
