// Where organisations read: one route, whose way is body (ExchangeBody.swift) → door (AccessLog.Door) → opened values
// (Register.ResidentVault) → answer. Refusals are in ExchangeProblems.swift.
public import AccessLog
import Hummingbird
public import Register
public import Web

public struct ExchangeRoutes: Sendable {
    private let door: Door
    private let vault: ResidentVault

    public init(door: Door, vault: ResidentVault) {
        self.door = door
        self.vault = vault
    }

    /// URL table of the slice.
    public func add(to site: Site) {
        site.bearerAPI.post("/api/v1/exchange/reads", use: read)
    }

    /// The token is not looked up beforehand: the door derives the organisation from it in the statement that decides and logs.
    @Sendable func read(_ request: Request, _ context: BearerContext) async throws -> Response {
        let body = try ExchangeBody(await context.json(request, bytesMax: ExchangeBody.bytesMax))
        let access = body.access(credential: context.credential)
        do {
            return exchangeAnswer(asked: body.attributes, record: try vault.open(try await door.read(access)))
        } catch let refused as RefusedAccess {
            throw refused.problem(for: body, entry: access.id)
        }
    }
}
