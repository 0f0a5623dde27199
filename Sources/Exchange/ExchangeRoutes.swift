// Where organisations read, one resident or a list of them. The way is body (ExchangeBody.swift) → door (AccessLog.Door) → opened values
// (Register.ResidentVault) → answer (ExchangeAnswer.swift). Refusals are in ExchangeProblems.swift.
public import AccessLog
import Hummingbird
public import Postgres
public import Register
public import TransparencyLog
public import Web

public struct ExchangeRoutes: Sendable {
    private let door: Door
    private let vault: ResidentVault
    private let database: Database
    private let rules: DerivationRules
    private let signing: SignedExchange

    /// - Parameters:
    ///   - signer: the city's key, for answers that a client wants signed.
    ///   - baseURL: what signed requests were addressed to.
    public init(door: Door, vault: ResidentVault, database: Database, rules: DerivationRules, signer: Ed25519NoteSigner, baseURL: BaseURL) {
        self.door = door
        self.vault = vault
        self.database = database
        self.rules = rules
        signing = SignedExchange(database: database, signer: signer, origin: baseURL.origin)
    }

    /// URL table of the slice.
    public func add(to site: Site) {
        site.bearerAPI.post("/api/v1/exchange/reads", use: signing.around(read))
        site.bearerAPI.post("/api/v1/exchange/lists", use: signing.around(list))
    }

    /// The token is not looked up beforehand: the door derives the organisation from it in the statement that decides and logs.
    @Sendable func read(_ request: Request, _ context: BearerContext) async throws -> Response {
        let body = try ExchangeBody(await context.json(request, bytesMax: ExchangeBody.bytesMax))
        let access = body.question.access(.disclose, to: body.subject, credential: context.credential)
        do {
            return .json(exchangeAnswer(to: body.question, try open(try await door.read(access), for: body.question)))
        } catch let refused as RefusedAccess {
            throw try await problem(refused, isOfList: false, body.question, context).about(access.id)
        }
    }

    /// Each subject is decided for itself; what stands against the call as a whole is answered as for a single read.
    @Sendable func list(_ request: Request, _ context: BearerContext) async throws -> Response {
        let body = try ExchangeListBody(await context.json(request, bytesMax: ExchangeListBody.bytesMax))
        let accesses = body.subjects.map { body.question.access(.list, to: $0, credential: context.credential) }
        let answers = try await door.read(accesses)
        if let refused = RefusedAccess.ofWholeCall(answers) {
            let problem = try await problem(refused, isOfList: true, body.question, context)
            // One entry stands for a list that is refused for its volume; otherwise there is one for each subject.
            throw refused.refusal == .volumeExceeded ? problem.about(accesses[0].id) : problem
        }
        return .json(await exchangeList(body, accesses, answers, context) { try open($0, for: body.question) })
    }

    /// What is over the limits is told with how much there is left, which takes another question to the database.
    private func problem(_ refused: RefusedAccess, isOfList: Bool, _ question: ExchangeQuestion, _ context: BearerContext) async throws -> Problem {
        guard refused.refusal == .volumeExceeded else { return refused.problem(for: question) }
        return try await database.one(VolumeOf(credential: context.credential)).problem(isOfList: isOfList)
    }

    private func open(_ released: ReleasedRecord, for question: ExchangeQuestion) throws -> OpenedRecord {
        try vault.open(released, deriving: question.attributes.map(Attribute.init(rawValue:)), by: rules)
    }
}
