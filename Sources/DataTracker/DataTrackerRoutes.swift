// Estonia's data tracker reads this city's log as it reads other registers (Andmejälgija, "kasutusteabe teenus" 2.1, e-gov/AJ): a national
// portal shows people who looked at their data, wherever that was. An adapter over the log: each question about a person is itself an
// entry there. The interface knows nothing of tokens, because X-Road's security servers stand around it; here the portal's client also needs
// one with the scope usage.read, for the door believes nobody's header.
public import AccessLog
import Foundation
import HTTPTypes
import Hummingbird
public import Postgres
import Primitives
public import Register
public import Web

/// URL table of the slice. The addresses are the interface's.
public struct DataTrackerRoutes: Sendable {
    private let database: Database
    private let door: Door
    private let lookup: LookupKey

    public init(database: Database, door: Door, lookup: LookupKey) {
        self.database = database
        self.door = door
        self.lookup = lookup
    }

    public func add(to site: Site) {
        site.publicAPI.get("/v2/heartbeat", use: heartbeat)
        site.publicAPI.get("/v2/usagePeriod", use: usagePeriod)
        site.bearerAPI.get("/v2/findUsage", use: findUsage)
    }

    /// Answers 200 whatever it has to say, as the interface wants.
    @Sendable func heartbeat(_ request: Request, _ context: WebContext) async throws -> Response {
        do {
            _ = try await database.one(KeptSince())
            return Self.status("OK", "The log can be read.")
        } catch is DatabaseError {
            return Self.status("FAIL", "The database does not answer.")
        }
    }

    private static func status(_ status: String, _ message: String) -> Response {
        .json(.object([JSONMember("status", .string(status)), JSONMember("message", .string(message))]))
    }

    @Sendable func usagePeriod(_ request: Request, _ context: WebContext) async throws -> Response {
        // An empty log is kept from now on.
        return .json(.object([JSONMember("periodStart", .string(RFC3339.text(try await database.one(KeptSince()) ?? Date())))]))
    }

    @Sendable func findUsage(_ request: Request, _ context: BearerContext) async throws -> Response {
        let query = try UsageQuery(try context.query(request), headers: request.headers, requestID: context.requestID)
        let access = query.access(credential: context.credential, lookup: lookup)
        do {
            let view = try await door.read(access).entryID
            let count = try await database.one(UsageCount(credential: context.credential, viewEntry: view, period: query.period))
            let usages = try await database.query(
                UsagesUnder(credential: context.credential, viewEntry: view, period: query.period, skipped: query.offset, count: query.limit))
            return usageAnswer(count, usages.map { UsageBody($0, context) })
        } catch let refused as RefusedAccess where refused.refusal == .subjectUnknown || refused.refusal == .subjectAmbiguous {
            // Nobody here has this number: nothing was done with that person's data.
            return usageAnswer(0, [])
        } catch let refused as RefusedAccess where refused.refusal == .volumeExceeded {
            throw Problem.usageQuotaExceeded
        } catch let refused as RefusedAccess {
            throw refused.problem(scope: "usage.read")
        }
    }

    private func usageAnswer(_ count: Int, _ usages: [UsageBody]) -> Response {
        .json(.object([JSONMember("totalUsages", .integer(Int64(count))), JSONMember("usages", .array(usages.map(\.json)))]))
    }
}

extension Problem {
    /// 429: the questions of this minute are used up, which count as single reads do (consent.organisation).
    fileprivate static let usageQuotaExceeded = Problem(
        "quota-exceeded", status: .tooManyRequests, title: "Quota exceeded",
        detail: "Your organisation has used up its requests of this minute. Nothing was read. Ask again in a minute, or have the city raise the limit.",
        headers: [.retryAfter: "60"])
}
