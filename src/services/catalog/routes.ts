import { Type } from "typebox";
import { sendProblem } from "../../platform/http/problem.ts";
import type { HttpServer } from "../../platform/http/server.ts";
import type { Catalog } from "./catalog.ts";
import { catalogProblems, ProductId, ProductView, PutProductBody } from "./contract.ts";

const params = Type.Object({ id: ProductId });

export function registerCatalogRoutes(app: HttpServer, catalog: Catalog): void {
  app.put(
    "/v1/products/:id",
    {
      config: { scope: "stock" },
      schema: {
        summary: "Create or replace a product",
        description:
          "Its SKUs are known to the stock of this process when the answer arrives. A SKU that is left out is sold no more.",
        params,
        body: PutProductBody,
        response: { 200: ProductView, 201: ProductView },
      },
    },
    async (request, reply) => {
      const answer = await catalog.put(request.params.id, request.body, request.trace.traceparent);
      if (!answer.accepted) {
        return sendProblem(reply, catalogProblems, answer.refusal.code, { detail: answer.refusal.detail });
      }
      return reply.code(answer.created ? 201 : 200).send(answer.product);
    },
  );

  app.get(
    "/v1/products/:id",
    {
      config: { scope: "read" },
      schema: { summary: "Read a product", params, response: { 200: ProductView } },
    },
    async ({ params: { id } }, reply) => {
      const product = await catalog.product(id);
      if (product !== undefined) return reply.send(product);
      return sendProblem(reply, catalogProblems, "catalog.product_not_found", {
        detail: `There is no product ${id}.`,
      });
    },
  );
}
